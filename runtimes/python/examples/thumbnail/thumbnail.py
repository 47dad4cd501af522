"""A thumbnail of a picture, with Pillow.

Event:  {"image": base64 of a PNG, JPEG, GIF or WebP, "maxSize": longest side in pixels (128),
         "format": "PNG" or "JPEG" ("PNG")}
Result: {"image": base64, "format", "width", "height", "bytes", "source": {"format", "width",
         "height"}}
"""

import base64
import io

from PIL import Image, ImageOps

SIZE_MAX = 1024
# A small file can unpack to a huge picture; this is refused before a pixel is decoded.
SOURCE_PIXELS_MAX = 40_000_000


def handler(event, context):
    size = int(event.get("maxSize", 128))
    if not 1 <= size <= SIZE_MAX:
        raise ValueError(f"maxSize must be between 1 and {SIZE_MAX}")
    target_format = event.get("format", "PNG").upper()
    if target_format not in ("PNG", "JPEG"):
        raise ValueError("format must be PNG or JPEG")

    picture = Image.open(io.BytesIO(base64.b64decode(event["image"], validate=True)))
    source = {"format": picture.format, "width": picture.width, "height": picture.height}
    if picture.width * picture.height > SOURCE_PIXELS_MAX:
        raise ValueError(f"the picture has more than {SOURCE_PIXELS_MAX} pixels")

    # A camera's rotation is a note in the file: apply it, or portraits come out lying down.
    thumbnail = ImageOps.exif_transpose(picture).convert("RGB")
    thumbnail.thumbnail((size, size), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    thumbnail.save(encoded, target_format)
    print(f"{source['width']}x{source['height']} -> {thumbnail.width}x{thumbnail.height}")
    return {
        "image": base64.b64encode(encoded.getvalue()).decode("ascii"),
        "format": target_format,
        "width": thumbnail.width,
        "height": thumbnail.height,
        "bytes": len(encoded.getvalue()),
        "source": source,
    }
