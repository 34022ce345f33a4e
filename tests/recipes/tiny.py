"""Random models so small that a CPU trains them in seconds, and tokenizers made from the captions themselves.

Where a recipe calls one of these, `from_pretrained` stands in your training; nothing else in it changes.
"""

import tokenizers
import transformers

# What a user says, where the image goes, what the assistant answers.
CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}</s>"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tokenizer(texts, specials=(), max_length=77):
    """A tokenizer of the words of `texts`, with <s> and </s> around each text, as CLIP's has."""
    specials = ["<pad>", "<unk>", "<s>", "</s>", *specials]
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token=specials[1]))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.train_from_iterator(texts, tokenizers.trainers.WordLevelTrainer(special_tokens=specials))
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    roles = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token"), specials))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=max_length, **roles)


def segformer(id2label):
    """A SegFormer for so many classes, and its image processor."""
    names = dict(id2label=id2label, label2id={name: index for index, name in id2label.items()})
    encoder = dict(num_encoder_blocks=2, depths=[1, 1], hidden_sizes=[8, 16], num_attention_heads=[1, 2])
    encoder |= dict(patch_sizes=[7, 3], strides=[4, 2], sr_ratios=[4, 2], mlp_ratios=[2, 2])
    config = transformers.SegformerConfig(**names, **encoder, decoder_hidden_size=16)
    processor = transformers.SegformerImageProcessor(size={"height": 128, "width": 128}, do_reduce_labels=False)
    return transformers.SegformerForSemanticSegmentation(config), processor


def vit(names, problem_type):
    """A ViT for images of 64×64 that tells these classes, and its image processor."""
    labels = dict(id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)})
    config = transformers.ViTConfig(**labels, problem_type=problem_type, **_VISION)
    return transformers.ViTForImageClassification(config), transformers.ViTImageProcessor(size=_SQUARE)


def clip(texts):
    """A CLIP for images of 64×64, and its processor."""
    words = tokenizer(texts)
    text = dict(vocab_size=len(words), max_position_embeddings=77, pad_token_id=0, bos_token_id=2, eos_token_id=3)
    config = transformers.CLIPConfig(text_config=text | _TEXT, vision_config=_VISION, projection_dim=16)
    images = transformers.CLIPImageProcessor(size=_SQUARE, crop_size=_SQUARE)
    return transformers.CLIPModel(config), transformers.CLIPProcessor(images, words)


def stable_diffusion(texts):
    """The parts of Stable Diffusion: tokenizer, text encoder, VAE, U-Net and noise scheduler."""
    import diffusers  # takes seconds, and no other recipe needs it

    words = tokenizer(texts)
    ends = dict(pad_token_id=0, bos_token_id=2, eos_token_id=3)
    text = transformers.CLIPTextModel(transformers.CLIPTextConfig(vocab_size=len(words), **ends, **_TEXT))
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    unet = diffusers.UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=4,
    )
    return words, text, vae, unet, diffusers.DDPMScheduler()


def llava(texts):
    """A LLaVA, which talks about images of 64×64, and its processor with a chat template."""
    words = tokenizer(texts, ["<image>", "<user>", "<assistant>"], max_length=512)
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**_VISION),
        text_config=transformers.LlamaConfig(vocab_size=len(words), pad_token_id=0, num_key_value_heads=2, **_TEXT),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(size=_SQUARE, crop_size=_SQUARE),
        words,
        patch_size=_VISION["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    return transformers.LlavaForConditionalGeneration(config), processor


_SQUARE = {"height": 64, "width": 64}
_TEXT = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
_VISION = dict(image_size=64, patch_size=16, **_TEXT)
