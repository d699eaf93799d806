"""Holds PyPI's `sbe` against the golden frames: every field that the package can say (not bytes that are no text).

    python3 -m venv .venv && .venv/bin/pip install sbe==0.4.3 && .venv/bin/python gateway/interop/decode_golden.py
"""

import pathlib
import re
import sys

import sbe

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOFH_BYTES = 6


def snake(name: str) -> str:
    return re.sub("(?<!^)([A-Z])", lambda letter: "_" + letter[1].lower(), name)


def flat(values: dict) -> dict:
    """The fields as the golden file names them; a group's with their index."""
    fields = {}
    for name, value in values.items():
        if isinstance(value, list):
            for index, entry in enumerate(value):
                fields.update({f"[{index}].{snake(key)}": one for key, one in entry.items()})
        else:
            fields[snake(name)] = value
    return fields


def main() -> int:
    with open(ROOT / "docs/schema/lakh.xml", encoding="utf-8") as file:
        schema = sbe.Schema.parse(file)
    compared = frames = 0
    for line in (ROOT / "docs/schema/golden_frames.txt").read_text(encoding="utf-8").splitlines():
        name, frame, *golden = line.split(" ")
        message = schema.decode(bytes.fromhex(frame)[SOFH_BYTES:])
        assert message.message_name == name, (message.message_name, name)
        fields = flat(message.value)
        assert len(fields) == len(golden), (name, len(fields), len(golden))
        for field in golden:
            key, expected = field.split("=", 1)
            if expected.startswith("0x"):
                continue
            found = fields[key]
            shown = f"'{found}'" if isinstance(found, str) and expected.startswith("'") else str(found)
            assert shown == expected, (name, key, expected, shown)
            compared += 1
        frames += 1
    print(f"{frames} frames, {compared} fields alike")
    return 0 if frames == 160 else 1


if __name__ == "__main__":
    sys.exit(main())
