"""The forms in which DigitalOcean shows things, and what any account has of them."""

from __future__ import annotations

import uuid
from typing import Any

Json = dict[str, Any]
REGIONS = ("ams3", "fra1", "nyc3", "sgp1")
SIZES = {"s-1vcpu-2gb": 12.0, "s-2vcpu-4gb": 24.0, "s-4vcpu-8gb": 48.0, "s-8vcpu-16gb": 96.0}
IMAGES = ("debian-12-x64", "ubuntu-22-04-x64", "ubuntu-24-04-x64")
BORN = "2026-01-01T00:00:00Z"

LISTS = (
    "ssh_keys",
    "vpcs",
    "tags",
    "droplets",
    "volumes",
    "firewalls",
    "load_balancers",
    "certificates",
    "domains",
    "sizes",
    "regions",
    "images",
)
RECORD: Json = {
    "priority": None,
    "port": None,
    "ttl": 1800,
    "weight": None,
    "flags": None,
    "tag": None,
}


def new_id(number: int) -> str:
    """An id as most things have it."""
    return str(uuid.UUID(int=(4 << 76) | (8 << 60) | number))


def region(slug: str) -> Json:
    """A region, as it is shown."""
    return {
        "slug": slug,
        "name": slug,
        "features": ["storage"],
        "available": True,
        "sizes": list(SIZES),
    }


def size(slug: str, price: float) -> Json:
    """A size of droplets, as it is shown."""
    return {
        "slug": slug,
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "transfer": 1.0,
        "price_monthly": price,
        "price_hourly": price / 672,
        "regions": list(REGIONS),
        "available": True,
        "description": "Basic",
    }


def image(slug: str) -> Json:
    """An image, as it is shown."""
    return {
        "id": 1 + IMAGES.index(slug),
        "name": slug,
        "type": "base",
        "distribution": slug.partition("-")[0].title(),
        "slug": slug,
        "public": True,
        "regions": list(REGIONS),
        "created_at": BORN,
        "min_disk_size": 7,
        "size_gigabytes": 1.0,
        "description": slug,
        "tags": [],
        "status": "available",
        "error_message": "",
    }


def droplet(id_: int, body: Json) -> Json:
    """A new droplet, as it is shown."""
    return {
        "id": id_,
        "name": body["name"],
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "locked": False,
        "status": "new",
        "kernel": None,
        "created_at": BORN,
        "features": [],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": image(body["image"]),
        "volume_ids": list(body["volumes"]),
        "size": size(body["size"], SIZES[body["size"]]),
        "size_slug": body["size"],
        "networks": {"v4": [], "v6": []},
        "region": region(body["region"]),
        "tags": list(body["tags"]),
        "vpc_uuid": body["vpc_uuid"],
    }


def account_of_today() -> dict[str, list[Json]]:
    """What any account shows: regions, sizes, images."""
    return {
        "regions": [region(slug) for slug in REGIONS],
        "sizes": [size(slug, price) for slug, price in SIZES.items()],
        "images": [image(slug) for slug in IMAGES],
    }
