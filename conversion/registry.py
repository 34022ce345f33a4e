"""PLACEHOLDER until fetch lands."""
def link(role):
    return "https://drive.google.com/"
