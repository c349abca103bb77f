"""What no schema says of deploy/: whether its parts refer to what is there. `cargo xtask deploy` runs it.

deploy.py compose FILE SECRETS, deploy.py cluster FILE SECRETS (rendered), deploy.py files FILE... (as they stand).
SECRETS is a directory that deploy/secrets.sh has filled. Prints each check that held; the last line counts them.
"""

import json
import re
import sys
from pathlib import Path

import compose_spec
import yaml
from kubernetes_validate import validate

KUBERNETES = "1.32"
held = 0


def hold(condition, words):
    global held
    if not condition:
        sys.exit(f"deploy: {words}")
    held += 1


def pinned(image):
    return re.search(r":\d+\.\d+\.\d+|:\d+\.\d+-|:v\d+\.\d+\.\d+", image)


def compose(file, secrets):
    document = yaml.safe_load(Path(file).read_text())
    # As YAML it would trip over a merge inside an extension.
    compose_spec.PyCompose.from_json(json.dumps(document)).validate()
    for name, service in document["services"].items():
        hold(service.get("read_only") is True, f"{name}: its file system can be written to")
        hold(service.get("cap_drop") == ["ALL"], f"{name}: keeps capabilities")
        hold("no-new-privileges:true" in service.get("security_opt", []), f"{name}: may gain privileges")
        hold(pinned(service["image"]), f"{name}: {service['image']} is not pinned")
        for secret in service.get("secrets", []):
            hold(secret in document["secrets"], f"{name}: there is no secret {secret}")
        for key, value in service.get("environment", {}).items():
            if key.endswith("_FILE"):
                hold(value.removeprefix("/run/secrets/") in service["secrets"], f"{name}: {key} is not given to it")
        for network in service["networks"]:
            hold(network in document["networks"], f"{name}: there is no network {network}")
    for name, secret in document["secrets"].items():
        hold((secrets / Path(secret["file"]).name).is_file(), f"secrets.sh makes no {secret['file']}")
    proxy = document["services"]["proxy"]["networks"]["front"]["ipv4_address"]
    trusted = document["services"]["psyche-1"]["environment"]["PSYCHE_TRUSTED_PROXIES"]
    hold(trusted == f"{proxy}/32", "psyche trusts another address than the proxy's")


def schema(document):
    kind = f"{document['kind']} {document['metadata']['name']}"
    try:
        validate(document, KUBERNETES, strict=True)
    except Exception as error:
        sys.exit(f"deploy: {kind}: {error}")
    hold(True, kind)


def files(names):
    for name in names:
        for document in yaml.safe_load_all(Path(name).read_text()):
            schema(document)


def cluster(file, secrets):
    documents = [d for d in yaml.safe_load_all(Path(file).read_text()) if d]
    for document in documents:
        schema(document)

    def of(kind):
        return {d["metadata"]["name"]: d for d in documents if d["kind"] == kind}

    namespaces = {d["metadata"].get("namespace") for d in documents if d["kind"] != "Namespace"}
    hold(namespaces == set(of("Namespace")), f"there are resources in {namespaces}")
    labels = next(iter(of("Namespace").values()))["metadata"]["labels"]
    hold(labels["pod-security.kubernetes.io/enforce"] == "restricted", "the namespace lets any pod in")
    sets = of("StatefulSet")
    hold("psyche" in sets and "redis" in sets, "a part is missing")
    for name, each in sets.items():
        hold(each["spec"]["serviceName"] in of("Service"), f"{name}: no Service of its name")
        pod(name, each["spec"], of("ConfigMap"), secrets)

    def matching(selector, what):
        wanted = selector.get("matchLabels", selector)
        found = [
            s["spec"]["template"]
            for s in sets.values()
            if wanted.items() <= s["spec"]["template"]["metadata"]["labels"].items()
        ]
        hold(found, f"{what} finds no pod by {wanted}")
        return found

    def reachable(port, templates, what):
        ports = [p for t in templates for c in t["spec"]["containers"] for p in c["ports"]]
        hold(any(port in (p["name"], p["containerPort"]) for p in ports), f"{what}: nobody listens on {port}")

    for name, service in of("Service").items():
        found = matching(service["spec"]["selector"], f"Service {name}")
        for port in service["spec"]["ports"]:
            reachable(port.get("targetPort", port["port"]), found, f"Service {name}")
    for name, budget in of("PodDisruptionBudget").items():
        matching(budget["spec"]["selector"], f"PodDisruptionBudget {name}")
    for name, scaler in of("HorizontalPodAutoscaler").items():
        hold(scaler["spec"]["scaleTargetRef"]["name"] in sets, f"HorizontalPodAutoscaler {name} scales nothing")
        hold("replicas" not in sets[name]["spec"], f"{name}: the autoscaler and `replicas` contradict each other")
        metrics = scaler["spec"]["metrics"]
        seen = [(m.get("resource", m.get("pods", {}).get("metric"))["name"]) for m in metrics]
        hold(seen == ["cpu", "memory", "psyche_websocket_connections"], f"it looks at {seen}")
    for name, ingress in of("Ingress").items():
        for rule in ingress["spec"]["rules"]:
            hold(any(rule["host"] in t["hosts"] for t in ingress["spec"]["tls"]), f"{rule['host']} has no certificate")
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = of("Service")[backend["name"]]["spec"]["ports"]
                hold(any(p["name"] == backend["port"]["name"] for p in ports), f"Ingress {name}: no such port")

    policies = of("NetworkPolicy")
    everybody = [p["spec"] for p in policies.values() if p["spec"]["podSelector"] == {} and len(p["spec"]) == 2]
    hold(any(set(p["policyTypes"]) == {"Ingress", "Egress"} for p in everybody), "nobody is denied by default")
    for name, policy in policies.items():
        spec = policy["spec"]
        own = matching(spec["podSelector"], f"NetworkPolicy {name}") if spec["podSelector"] else []
        for direction, peers in [("ingress", "from"), ("egress", "to")]:
            for rule in spec.get(direction, []):
                others = []
                for peer in rule[peers]:
                    if "podSelector" in peer and "namespaceSelector" not in peer:
                        others += matching(peer["podSelector"], f"NetworkPolicy {name}")
                targets = own if direction == "ingress" else others
                for port in rule["ports"] if targets else []:
                    reachable(port["port"], targets, f"NetworkPolicy {name}")

    redis = sets["redis"]["spec"]
    nodes = next(e["value"] for e in redis["template"]["spec"]["containers"][0]["env"] if e["name"] == "NODES")
    hold(int(nodes) == redis["replicas"] >= 3, f"redis has {redis['replicas']} replicas and is told of {nodes}")
    seeds = re.findall(r"redis-(\d+)\.redis:6379", (secrets / "bus_cluster").read_text())
    hold(seeds and max(map(int, seeds)) < redis["replicas"], "bus_cluster names nodes that there are not")
    spec = sets["psyche"]["spec"]["template"]["spec"]
    wait = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    # 20 s for turns, 20 s for sockets beside them, and what closing takes.
    hold(spec["terminationGracePeriodSeconds"] >= wait + 20 + 10, "psyche is killed before it has left")


def pod(name, spec, maps, secrets):
    template = spec["template"]
    labels = spec["selector"]["matchLabels"].items()
    hold(labels <= template["metadata"]["labels"].items(), f"{name}: does not select its own pods")
    inner = template["spec"]
    hold(inner["enableServiceLinks"] is False, f"{name}: variables of Services would reach it")
    hold(inner["automountServiceAccountToken"] is False, f"{name}: has a token of the cluster")
    context = inner["securityContext"]
    hold(context["runAsNonRoot"] and context["runAsUser"] > 0, f"{name}: may be root")
    hold(context["seccompProfile"]["type"] == "RuntimeDefault", f"{name}: any system call")
    volumes = {v["name"]: v for v in inner["volumes"]}
    volumes |= {v["metadata"]["name"]: v for v in spec.get("volumeClaimTemplates", [])}
    for volume in inner["volumes"]:
        hold(set(volume) <= {"name", "configMap", "secret", "emptyDir"}, f"{name}: volume {volume}")
        if "configMap" in volume:
            hold(volume["configMap"]["name"] in maps, f"{name}: no ConfigMap {volume['configMap']['name']}")
    annotations = template["metadata"].get("annotations", {})
    ports = [p for c in inner["containers"] for p in c["ports"]]
    if "prometheus.io/port" in annotations:
        scraped = int(annotations["prometheus.io/port"])
        hold(any(p["containerPort"] == scraped for p in ports), f"{name}: nothing to scrape on {scraped}")
    for container in inner["containers"]:
        what = f"{name}/{container['name']}"
        context = container["securityContext"]
        hold(context["allowPrivilegeEscalation"] is False, f"{what}: may gain privileges")
        hold(context["readOnlyRootFilesystem"] is True, f"{what}: its file system can be written to")
        hold(context["capabilities"]["drop"] == ["ALL"], f"{what}: keeps capabilities")
        hold(pinned(container["image"]), f"{what}: {container['image']} is not pinned")
        resources = container["resources"]
        hold({"cpu", "memory"} <= set(resources["requests"]) and "memory" in resources["limits"], f"{what}: resources")
        mounts = {m["mountPath"]: volumes.get(m["name"]) for m in container.get("volumeMounts", [])}
        hold(all(mounts.values()), f"{what}: mounts a volume that is not there")
        for source in container.get("envFrom", []):
            hold(source["configMapRef"]["name"] in maps, f"{what}: no ConfigMap {source['configMapRef']['name']}")
        for variable in container.get("env", []):
            value = variable.get("value", "")
            key = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
            if value.startswith("/run/secrets/"):
                directory, key = value.rsplit("/", 1)
                hold("secret" in mounts.get(directory, {}), f"{what}: {value} is not mounted")
            hold(key is None or (secrets / key).is_file(), f"{what}: secrets.sh makes no {key}")
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            named = [p["name"] for p in container["ports"]]
            hold(port is None or port in named, f"{what}: {probe} asks {port}")


match sys.argv[1:]:
    case ["compose", file, secrets]:
        compose(file, Path(secrets))
    case ["cluster", file, secrets]:
        cluster(file, Path(secrets))
    case ["files", *names]:
        files(names)
    case _:
        sys.exit(__doc__)
print(f"{held} held")
