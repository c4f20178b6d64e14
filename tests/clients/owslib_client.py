"""OWSLib reads the service: classes, layers, queryables, schema, pages, a box, an attribute, one feature. Usage: owslib_client.py URL"""

import sys

from owslib.ogcapi.features import Features

PAGE = 50


def main(url):
    service = Features(f"{url}/api")
    classes = service.conformance()["conformsTo"]
    for part in ("core", "oas30", "html", "geojson"):
        assert f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{part}" in classes, part
    layers = service.feature_collections()
    assert {"parks", "park_blocks", "divisions"} <= set(layers), layers
    for layer in layers:
        told = service.collection(layer)
        assert told["id"] == layer and told["extent"]["spatial"]["bbox"][0], layer
        queryables = service.collection_queryables(layer)["properties"]
        schema = service.collection_schema(layer)["properties"]
        assert set(queryables) <= set(schema) | {"geometry"}, set(queryables) - set(schema)
        features = pages(service, layer)
        ids = [feature["id"] for feature in features]
        assert len(set(ids)) == len(ids), f"{layer}: a feature came twice"
        one = service.collection_item(layer, ids[0])
        assert one["id"] == ids[0] and one["properties"] == features[0]["properties"], layer
        print(f"  {layer}：{len(ids)} 个，单个要素与列表中的相同")
    everything = pages(service, "parks")
    national = pages(service, "parks", level="国家级")
    assert ids_of(national) == ids_of(f for f in everything if f["properties"]["level"] == "国家级")
    box = (112.5, 27.5, 113.5, 28.5)
    near = ids_of(pages(service, "parks", bbox=list(box)))
    # A park with a vertex in the box must be found, one whose own box misses it must not.
    for feature in everything:
        vertices = list(positions(feature["geometry"]))
        inside = any(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in vertices)
        xs, ys = zip(*vertices)
        apart = max(xs) < box[0] or min(xs) > box[2] or max(ys) < box[1] or min(ys) > box[3]
        assert not inside or feature["id"] in near, feature["id"]
        assert not apart or feature["id"] not in near, feature["id"]
    print(f"  国家级 {len(national)} 个，范围内 {len(near)} 个，与逐个判断相同")


def pages(service, layer, **asked):
    """All features, page by page by the service's own links."""
    page = service.collection_items(layer, limit=PAGE, **asked)
    matched, features = page["numberMatched"], page["features"]
    while following := [link["href"] for link in page["links"] if link["rel"] == "next"]:
        cursor = following[0].split("cursor=")[1].split("&")[0]
        page = service.collection_items(layer, limit=PAGE, cursor=cursor, **asked)
        features += page["features"]
    assert len(features) == matched, f"{layer}: {len(features)} of {matched}"
    return features


def positions(geometry):
    for polygon in geometry["coordinates"]:
        for ring in polygon:
            yield from ring


def ids_of(features):
    return {feature["id"] for feature in features}


main(sys.argv[1].rstrip("/"))
