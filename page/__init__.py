"""The main screen: a film goes in; a probability for every finding and a map of its evidence come out. Gradio."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read by gradio at import
