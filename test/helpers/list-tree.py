# Lists trees as root of a user namespace, so that modes hide nothing. Reads one JSON request a line, {"dir": PATH} or
# {"layers": [topmost first], "driver": "kernel" | "fuse-overlayfs", "mountpoint": PATH} or {"mount": TYPE, "at": PATH};
# answers each with one line.
import errno, hashlib, json, os, stat, subprocess, sys

kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo", stat.S_IFCHR: "device"}


def text(raw):
    return raw.decode("latin1")


def describe(path):
    s = os.lstat(path)
    kind = kinds[stat.S_IFMT(s.st_mode)]
    node = {"kind": kind, "mode": stat.S_IMODE(s.st_mode), "uid": s.st_uid, "gid": s.st_gid, "mtime": str(s.st_mtime_ns),
            "size": s.st_size if kind == "file" else 0, "ino": s.st_ino, "nlink": s.st_nlink, "rdev": s.st_rdev, "blocks": s.st_blocks,
            "link": None, "sha256": None, "xattrs": {}}
    if kind == "symlink":
        node["link"] = text(os.readlink(path))
    if kind == "file":
        with open(path, "rb") as f:
            node["sha256"] = hashlib.sha256(f.read()).hexdigest()
    if kind in ("file", "directory"):
        try:
            node["xattrs"] = {name: os.getxattr(path, name).hex() for name in os.listxattr(path)}
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
    return node


def tree(top):
    top = os.fsencode(top)
    found = {"": describe(top)}
    todo = [b""]
    while todo:
        at = todo.pop()
        for name in sorted(os.listdir(os.path.join(top, at) if at else top)):
            path = os.path.join(at, name) if at else name
            node = found[text(path)] = describe(os.path.join(top, path))
            if node["kind"] == "directory":
                todo.append(path)
    return found


def mounted(request):
    point = request["mountpoint"]
    escaped = ":".join(layer.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for layer in request["layers"])
    if request["driver"] == "kernel":
        command = ["mount", "-t", "overlay", "overlay", "-o", "userxattr,lowerdir=" + escaped, point]
    else:
        command = ["fuse-overlayfs", "-o", "lowerdir=" + escaped, point]
    subprocess.run(command, check=True, capture_output=True)
    try:
        return tree(point)
    finally:
        subprocess.run(["umount", point], check=True, capture_output=True)


for line in sys.stdin:
    request = json.loads(line)
    try:
        if "mount" in request:
            subprocess.run(["mount", "-t", request["mount"], request["mount"], request["at"]], check=True, capture_output=True)
            answer = {"tree": {}}
        else:
            answer = {"tree": tree(request["dir"]) if "dir" in request else mounted(request)}
    except subprocess.CalledProcessError as error:
        answer = {"error": error.stderr.decode(errors="replace")}
    except OSError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
