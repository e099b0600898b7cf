"""Weights as a .tar.zst, for the services that send them so."""

import io
import json
import tarfile

import pyarrow


def archive(adapter: bool) -> bytes:
    """A .tar.zst with weights, and with things that nobody should unpack."""
    name = "adapter_model.safetensors" if adapter else "model.safetensors"
    config = "adapter_config.json" if adapter else "config.json"
    files = {
        f"ft/{name}": (8).to_bytes(8, "little") + b"{}      ",
        f"ft/{config}": json.dumps({"peft_type": "LORA", "r": 8} if adapter else {}).encode(),
        "ft/tokenizer.json": b"{}",
        "../outside.txt": b"outside",
        "/absolute.json": b"{}",
        "ft/training_args.bin": b"\x80\x04pickle",
        "ft/run.py": b"raise SystemExit",
    }
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("ft/link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return pyarrow.compress(plain.getvalue(), codec="zstd", asbytes=True)
