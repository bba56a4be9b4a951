"""Write the generated files of this directory: `python -m ops`."""

from ops.files import generated

for path, text in generated().items():
    path.write_text(text)
