"""Tells schemathesis which records there are: by chance it would find none, and try 404 alone. Usage: known_ids.py URL TOKEN > schemathesis.toml"""

import json
import sys
import urllib.request


def main(url, token):
    get = lambda path: json.load(urllib.request.urlopen(urllib.request.Request(f"{url}/api{path}", headers={"Authorization": f"Bearer {token}"})))
    for collection in get("/collections")["collections"]:
        layer = collection["id"]
        features = get(f"/collections/{layer}/items?limit=1")["features"]
        if features:
            print(f'[[operations]]\ninclude-path-regex = "^/collections/{layer}/items/"\nparameters = {{ "path.featureId" = "{features[0]["id"]}" }}\n')
    print(f'[[operations]]\ninclude-path-regex = "^/parks/"\nparameters = {{ "path.code" = "{get("/parks?limit=1")["parks"][0]["code"]}" }}')


main(sys.argv[1], sys.argv[2])
