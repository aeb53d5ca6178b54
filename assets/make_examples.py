"""Draw the example films beside this file again: python assets/make_examples.py"""

from pathlib import Path

from cxrcore.phantom.examples import write_examples

if __name__ == "__main__":
    for example in write_examples(Path(__file__).parent / "examples"):
        print(example["file"], "-", example["title"])
