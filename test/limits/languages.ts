/** The part of the table that runs under language runtimes. */
import { cpu, dies, exits, type Group, type Limits, memory, node, ok, python } from "./kinds.ts";

const runtime: Limits = { memory: "256M", cpuTime: "60s", wallTime: "100s" };
export const languages: Group = {
  title: "Language runtimes (memory 256 MiB)",
  programs: [
    {
      name: "C++: sums numbers",
      command: { kind: "c++", source: "program.cpp", args: ["sum"] },
      limits: runtime,
      expected: { ...ok, stdout: "4950\n" },
      needs: ["g++"],
    },
    {
      name: "C++: a vector without end",
      command: { kind: "c++", source: "program.cpp", args: ["memory"] },
      limits: runtime,
      expected: memory,
      needs: ["g++"],
    },
    {
      name: "C++: an exception nobody catches",
      command: { kind: "c++", source: "program.cpp", args: ["throw"] },
      limits: runtime,
      expected: dies("SIGABRT"),
      needs: ["g++"],
    },
    {
      name: "Python: threads and subprocesses",
      command: python(
        "import threading,subprocess,sys\nt=threading.Thread(target=print,args=(1,));t.start();t.join()\nsys.stdout.flush();subprocess.run(['echo','2'])",
      ),
      limits: runtime,
      expected: { ...ok, stdout: "1\n2\n" },
      needs: ["python3"],
    },
    {
      name: "Python: a billion bytes",
      command: python("import signal\nx=b'x'*10**9\nsignal.pause()"),
      limits: runtime,
      expected: memory,
      needs: ["python3"],
    },
    {
      name: "Python: spins",
      command: python("while True: pass"),
      limits: { ...runtime, cpuTime: "1s" },
      expected: cpu,
      needs: ["python3"],
    },
    { name: "Python: an exception", command: python("1/0"), limits: runtime, expected: exits(1), needs: ["python3"] },
    {
      name: "Node: WebAssembly memory and fetch",
      command: node("new WebAssembly.Memory({initial:10,maximum:100});fetch('http://127.0.0.1:1/').catch(()=>console.log('refused'))"),
      limits: runtime,
      expected: { ...ok, stdout: "refused\n" },
      needs: ["node"],
    },
    {
      name: "Node: buffers without end",
      command: node("const a=[];for(;;)a.push(Buffer.alloc(1<<20,1))"),
      limits: runtime,
      expected: memory,
      needs: ["node"],
    },
    {
      name: "Node: spins in a worker",
      command: node("new (require('worker_threads').Worker)('for(;;);',{eval:true})"),
      limits: { ...runtime, cpuTime: "2s" },
      expected: cpu,
      needs: ["node"],
    },
    {
      name: "Java: prints",
      command: { kind: "java", source: "Program.java", args: ["print"] },
      limits: runtime,
      expected: { ...ok, stdout: "java\n" },
      needs: ["javac"],
    },
    {
      name: "Java: arrays without end",
      command: { kind: "java", source: "Program.java", args: ["memory"] },
      limits: runtime,
      expected: memory,
      needs: ["javac"],
    },
    {
      name: "Java: 4 threads spin",
      command: { kind: "java", source: "Program.java", args: ["spin"] },
      limits: { ...runtime, cpuTime: "3s" },
      expected: cpu,
      needs: ["javac"],
    },
    {
      name: "Go: 20 goroutines",
      command: { kind: "go", source: "program.go", args: ["print"] },
      limits: runtime,
      expected: { ...ok, stdout: "190\n" },
      needs: ["go"],
    },
    {
      name: "Go: slices without end",
      command: { kind: "go", source: "program.go", args: ["memory"] },
      limits: runtime,
      expected: memory,
      needs: ["go"],
    },
    {
      name: "Go: a deadlock",
      command: { kind: "go", source: "program.go", args: ["deadlock"] },
      limits: runtime,
      expected: exits(2),
      needs: ["go"],
    },
  ],
};
