// Language runtimes and tools at work under the default profile: a check of their own passes, and nothing that they ask for is refused.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { type Ability, needs } from "../helpers/abilities.ts";
import { type BelljarOptions, belljarRun } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

interface Work {
  readonly files?: Readonly<Record<string, string>>;
  readonly script: string;
  readonly stdout: string;
  readonly run?: readonly string[];
  /** What it asks for, is refused, and does without. */
  readonly copesWithout?: readonly string[];
}

/** Copies the files in, runs the script by a shell, and looks at what was refused. */
async function works({ files = {}, script, stdout, run = [], copesWithout = [] }: Work, options: BelljarOptions = {}): Promise<void> {
  const cwd = tempDir("work");
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  const copied = Object.keys(files).flatMap((name) => ["--in", name]);
  const result = await belljarRun([...run, ...copied, "--", "sh", "-euc", script], { cwd, deadlineMs: 120_000, ...options });
  const refused = [...new Set((result.report.denials ?? []).map(({ syscall }) => syscall))].filter((name) => !copesWithout.includes(name));
  expect({ stdout: result.stdout, verdict: result.report.verdict, refused }, result.stderr).toEqual({ stdout, verdict: "ok", refused: [] });
  expect(result.report.enforcement.audit).toBe("enforced");
}

const program = (name: string, abilities: readonly Ability[], work: Work): void =>
  needs("userns", ...abilities)(name, () => works(work), 150_000);

describe("Python", () => {
  program("threads, processes, subprocesses, shared memory, queues", ["python3"], {
    files: {
      "a.py": `
import asyncio, concurrent.futures, multiprocessing, os, queue, sqlite3, subprocess, tempfile, threading
from multiprocessing import shared_memory
def square(n): return n * n
async def waits():
    p = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    return (await p.communicate(b"asyncio"))[0].decode()
if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(square, range(100))))
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(3) as pool: print(method, sum(pool.map(square, range(100))))
    q = multiprocessing.Queue(); p = multiprocessing.Process(target=q.put, args=("queue",)); p.start(); print(q.get()); p.join()
    block = shared_memory.SharedMemory(create=True, size=4096); block.buf[0] = 7; print(block.buf[0]); block.close(); block.unlink()
    print(subprocess.run("echo sub | tr a-z A-Z", shell=True, capture_output=True, text=True).stdout.strip())
    print(asyncio.run(waits()))
    db = sqlite3.connect("x.db"); db.execute("pragma journal_mode=wal"); db.execute("create table t(a)"); db.executemany("insert into t values (?)", [(i,) for i in range(100)])
    db.commit(); print(db.execute("select sum(a) from t").fetchone()[0])
`,
    },
    script: "python3 a.py",
    stdout: "328350\nfork 328350\nspawn 328350\nforkserver 328350\nqueue\n7\nSUB\nasyncio\n4950\n",
  });

  program("TLS over loopback with a certificate of its own, name resolution", ["python3", "openssl"], {
    files: {
      "b.py": `
import hashlib, secrets, socket, ssl, threading
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); server.load_cert_chain("cert", "key")
client = ssl.create_default_context(cafile="cert")
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    with server.wrap_socket(listener.accept()[0], server_side=True) as s: s.sendall(s.recv(100).upper())
t = threading.Thread(target=serve); t.start()
with client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="localhost") as s:
    s.sendall(b"over tls"); print(s.recv(100).decode(), s.version())
t.join(); print(socket.gethostbyname("localhost"), len(secrets.token_bytes(8)), hashlib.sha256(b"").hexdigest()[:8])
`,
    },
    script:
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out cert -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null; python3 b.py",
    stdout: "OVER TLS TLSv1.3\n127.0.0.1 8 e3b0c442\n",
  });

  program("modules that are commands", ["python3"], {
    script:
      "python3 -m zipfile -c a.zip /etc/hostname; python3 -m zipfile -t a.zip; python3 -m timeit -n 10 -r 1 pass >/dev/null; python3 -m this | head -1",
    stdout: "Done testing\nThe Zen of Python, by Tim Peters\n",
  });
});

describe("Node", () => {
  program("workers, children, a server, file events, crypto, WebAssembly", ["node"], {
    files: {
      "a.mjs": `
import { Worker } from "node:worker_threads"; import { once } from "node:events"; import { execFileSync, fork } from "node:child_process";
import { createServer } from "node:http"; import { scryptSync } from "node:crypto"; import { gzipSync, gunzipSync } from "node:zlib"; import fs from "node:fs";
const workers = Array.from({ length: 4 }, (_, i) => once(new Worker(\`require("worker_threads").parentPort.postMessage(\${i})\`, { eval: true }), "message"));
console.log((await Promise.all(workers)).flat().reduce((a, b) => a + b));
console.log(execFileSync("sh", ["-c", "echo child"]).toString().trim());
const child = fork("b.mjs"); console.log((await once(child, "message"))[0]); await once(child, "exit");
const server = createServer((_, response) => response.end("served")).listen(0, "127.0.0.1"); await once(server, "listening");
console.log(await (await fetch(\`http://127.0.0.1:\${server.address().port}\`)).text()); server.close();
console.log(scryptSync("a", "b", 8).length, gunzipSync(gzipSync("zipped")).toString(), new WebAssembly.Memory({ initial: 1 }).buffer.byteLength);
const watcher = fs.watch("."); const seen = once(watcher, "change"); fs.writeFileSync("new", ""); await seen; watcher.close(); console.log("watched");
process.exit(0);
`,
      "b.mjs": 'process.send("forked");',
    },
    script: "node a.mjs",
    stdout: "6\nchild\nforked\nserved\n8 zipped 65536\nwatched\n",
  });
});

describe("Java", () => {
  program("compiles and runs: threads, a process, files, a socket, garbage collectors", ["java", "javac"], {
    files: {
      "A.java": `
import java.net.*; import java.nio.file.*; import java.util.concurrent.*; import java.util.stream.*;
public class A { public static void main(String[] args) throws Exception {
  ExecutorService pool = Executors.newFixedThreadPool(8); int sum = 0;
  for (Future<Integer> f : pool.invokeAll(IntStream.range(0, 100).<Callable<Integer>>mapToObj(i -> () -> i * i).collect(Collectors.toList()))) sum += f.get();
  pool.shutdown(); System.out.println(sum + " " + LongStream.range(0, 100000).parallel().sum());
  System.out.println(new String(new ProcessBuilder("echo", "child").start().getInputStream().readAllBytes()).trim());
  Files.writeString(Path.of("f"), "kept"); System.out.println(Files.readString(Path.of("f")));
  try (ServerSocket s = new ServerSocket(0, 1, InetAddress.getLoopbackAddress()); Socket c = new Socket(s.getInetAddress(), s.getLocalPort())) { System.out.println(c.isConnected()); }
  System.gc(); } }
`,
    },
    run: ["--memory", "2G", "--processes", "512"],
    script: "javac A.java; java A; java -XX:+UseSerialGC -Xshare:off A | head -1",
    stdout: "328350 4999950000\nchild\nkept\ntrue\n328350 4999950000\n",
  });
});

describe("compilers and build tools", () => {
  program("Go builds and tests a module without the network", ["go"], {
    files: {
      "go.mod": "module example.org/m\n\ngo 1.19\n",
      "m.go":
        'package main\n\nimport ("fmt"; "os/exec"; "sync")\n\nfunc sum() (s int) { var w sync.WaitGroup; c := make(chan int, 100); for i := 0; i < 100; i++ { w.Add(1); go func(i int) { defer w.Done(); c <- i }(i) }; w.Wait(); close(c); for i := range c { s += i }; return }\n\nfunc main() { out, err := exec.Command("echo", "child").Output(); fmt.Print(sum(), " ", string(out), err, "\\n") }\n',
      "m_test.go": 'package main\n\nimport "testing"\n\nfunc TestSum(t *testing.T) { if sum() != 4950 { t.Fatal(sum()) } }\n',
    },
    run: ["--memory", "3G", "--disk", "1G", "--file-size", "1G", "-e", "GOFLAGS=-mod=mod", "-e", "CGO_ENABLED=0", "-e", "GOPROXY=off"],
    script: "go build -o m . ; ./m; go test ./... | cut -f1",
    stdout: "4950 child\n<nil>\nok  \n",
  });

  program("gcc and g++ compile, link in parallel by make, and run with the address sanitizer", ["gcc", "g++", "make"], {
    files: {
      "a.c": '#include <stdio.h>\nint b(void);\nint main(void) { printf("%d\\n", b()); return 0; }\n',
      "b.c": "int b(void) { return 42; }\n",
      "c.cpp": '#include <iostream>\n#include <thread>\nint main() { std::thread t([] { std::cout << "thread\\n"; }); t.join(); }\n',
      Makefile: "all: ab c\nab: a.o b.o\n\t$(CC) -o $@ $^\nc: c.cpp\n\t$(CXX) -flto -O2 -pthread -o $@ $<\n",
    },
    run: ["--memory", "2G"],
    script: "make -s -j4; ./ab; ./c; gcc -fsanitize=address,undefined -o s a.c b.c; ASAN_OPTIONS=detect_leaks=0 ./s; make -q",
    stdout: "42\nthread\n42\n",
  });

  program("git makes, clones, merges and packs a repository", ["git"], {
    script: `
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main r; cd r; for i in 1 2 3; do echo $i >f$i; git add .; git commit -qm $i; done
git switch -qc side HEAD~1; echo s >s; git add s; git commit -qm side; git switch -q main; git merge -q -m merged side
git gc -q; git fsck --strict 2>/dev/null; cd ..; git clone -q r c; git -C c log --oneline | wc -l; git -C c status --porcelain; git -C c grep -c 3`,
    stdout: "5\nf3:1\n",
  });
});

describe("tools", () => {
  program("sqlite3: transactions, write-ahead log, integrity", ["sqlite3"], {
    script: `
sqlite3 x.db "pragma journal_mode=wal; create table t(a integer primary key, b text); create index i on t(b);"
(echo "begin;"; seq 1000 | sed "s/.*/insert into t(b) values('&');/"; echo "commit;") | sqlite3 x.db
sqlite3 x.db "select count(*), sum(a) from t; pragma integrity_check; vacuum;"; sqlite3 x.db .dump | tail -1`,
    stdout: "wal\n1000|500500\nok\nCOMMIT;\n",
  });

  program("perl: fork, pipes, sockets, sort, locks", ["perl"], {
    files: {
      "a.pl": `use strict; use warnings; use Fcntl qw(:flock); use IO::Socket::INET; use POSIX; use Time::HiRes qw(usleep);
my $pid = open(my $child, "-|") // die; if (!$pid) { print "child\\n"; exit 0 } print <$child>; close $child;
open(my $f, ">", "f") or die; flock($f, LOCK_EX) or die; print $f join(",", sort { $a <=> $b } map { $_ * 7 % 11 } 1 .. 10); close $f; open($f, "<", "f"); print <$f>, "\\n";
my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die; my $c = IO::Socket::INET->new(PeerAddr => $s->sockhost, PeerPort => $s->sockport) or die; print "connected\\n";
local $SIG{ALRM} = sub { print "alarm\\n" }; alarm 1; pause(); print strftime("%Y", gmtime(0)), "\\n";
`,
    },
    script: "perl a.pl",
    stdout: "child\n1,2,3,4,5,6,7,8,9,10\nconnected\nalarm\n1970\n",
  });

  program("ruby: threads, fork, sockets, files", ["ruby"], {
    files: {
      "a.rb": `require "socket"; require "tempfile"; require "json"; require "digest"; require "open3"
puts (1..20).map { |i| Thread.new { i * i } }.sum(&:value)
r, w = IO.pipe; pid = fork { w.puts "forked" }; w.close; puts r.read; Process.wait pid
out, = Open3.capture2("tr a-z A-Z", stdin_data: "open3"); puts out
s = TCPServer.new("127.0.0.1", 0); t = Thread.new { c = s.accept; c.puts c.gets.upcase; c.close }; c = TCPSocket.new("127.0.0.1", s.addr[1]); c.puts "tcp"; puts c.gets; t.join
Tempfile.create { |f| f.write "x"; f.flush; puts File.size(f.path) }; puts JSON.parse("[1]").first, Digest::MD5.hexdigest("")[0, 8]
`,
    },
    script: "ruby a.rb",
    stdout: "2870\nforked\nOPEN3\nTCP\n1\n1\nd41d8cd9\n",
  });

  program("a shell, coreutils, tar, find, sort and awk", [], {
    script: `
mkdir -p d/e; seq 1000 | sort -R | sort -n | tail -1; echo x >d/e/f; cp -a d g; mv g/e/f g/e/h; ln -s e d/l; ln d/e/f d/hard; touch -d @0 d/e/f; chmod 640 d/e/f; stat -c '%a %Y' d/e/f
tar -cf - d | tar -xf - -C /tmp; find /tmp/d -type f | wc -l; test -w /tmp/d && rm -r /tmp/d; mktemp -d >/dev/null; timeout 5 true; nice -n 5 true; seq 3 | xargs -n1 -P3 true; awk 'BEGIN { print 6 * 7 }'; dd if=/dev/zero of=z bs=1k count=4 2>/dev/null; df . >/dev/null; ls -l z | cut -d' ' -f5; id -u; nproc >/dev/null; mkfifo p; (echo fifo >p &) ; cat p`,
    stdout: "1000\n640 0\n2\n42\n4096\n1000\nfifo\n",
  });
});
