"""What no schema tells: which account is the suite's own, what a whole cast looks like, where something was said."""

import os
import time

import requests
import schemathesis

API = os.environ["CONTRACT_URL"] + "/api/v1"
NOBODY = "00000000-0000-7000-8000-000000000000"


def ask(method, path, body=None, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.request(method, API + path, json=body, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()


def first_look():
    """The suite's own account, a cast, and a session with the number of something said in it."""
    who = {"username": os.environ["CONTRACT_USERNAME"], "password": os.environ["CONTRACT_PASSWORD"]}
    signed_in = ask("POST", "/auth/login", who)
    token = signed_in["access_token"]
    cast = {**ask("GET", "/casts/jungian", token=token), "id": "trial", "name": "Trial"}
    session = ask("POST", "/sessions", {"session_type": "shared"}, token)["session_id"]
    ask("POST", f"/sessions/{session}/commands", {"command": "step", "args": {"unit": "turn"}}, token)
    said = []
    while not said:
        time.sleep(0.1)
        said = ask("GET", f"/sessions/{session}/messages", token=token)["items"]
    return signed_in["user"]["user_id"], cast, session, said[0]["seq"]


OWN, CAST, SESSION, SAID = first_look()


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Examples for what does not come about by chance."""
    paths = raw_schema["paths"]
    for operation in (paths["/api/v1/casts"]["post"], paths["/api/v1/casts/{cast_id}"]["put"]):
        operation["requestBody"]["content"]["application/json"]["example"] = CAST
    known = {"cast_id": "trial", "id": SESSION, "seq": SAID}
    for path in ("/api/v1/casts/{cast_id}", "/api/v1/sessions/{id}/utterances/{seq}/context"):
        for operation in paths[path].values():
            for parameter in operation["parameters"]:
                parameter["example"] = known[parameter["name"]]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Requests that would disable, demote or delete the suite's own account go to one that does not exist.

    They are allowed as soon as the run has made a second admin, and everything after them would be refused: the suite
    would pass without having looked at anything.
    """
    account = case.path == "/api/v1/users/{user_id}" and case.method.upper() in ("PATCH", "DELETE")
    if account and case.path_parameters.get("user_id") == OWN:
        case.path_parameters["user_id"] = NOBODY
