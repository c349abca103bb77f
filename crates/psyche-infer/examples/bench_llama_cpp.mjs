// What bench.rs measures, measured with llama.cpp on one thread, for comparison:
//
//   mkdir /tmp/reference && cd /tmp/reference && npm init -y && npm install --ignore-scripts node-llama-cpp@3.22.1
//   cp <here>/bench_llama_cpp.mjs . && node bench_llama_cpp.mjs SmolLM2-135M-Instruct.Q4_1.gguf

import {getLlama} from "node-llama-cpp";

const words = "The house stood at the end of a long road, and in the evening its windows caught the last of the light. " +
    "Nobody had lived there for eleven years. The children of the village said that a woman walked its rooms at night, " +
    "carrying a lamp that gave no light, and that whoever looked into her face would forget his own name. ";
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: 1});
const model = await llama.loadModel({modelPath: process.argv[2]});
const context = await model.createContext({contextSize: 1024, batchSize: 512, threads: 1, sequences: 5, flashAttention: process.argv[3] === "flash"});
const sequences = Array.from({length: 5}, () => context.getSequence());
const prompt = (id) => model.tokenize(`<|im_start|>user\n${id} is the number of this tale. ${words.repeat(4)}<|im_end|>\n<|im_start|>assistant\n`, true);

async function write(sequence, token, count) {
    let written = 0;
    for await (const _ of sequence.evaluate([token], {temperature: 0.7, yieldEogToken: true}))
        if (++written === count) break;
    return written;
}

// Tokens per second by the clock and by processor time (all threads, V8's too).
async function rate(best, work) {
    const [start, used] = [performance.now(), process.cpuUsage()];
    const tokens = await work();
    const clock = (performance.now() - start) / 1e3;
    const {user, system} = process.cpuUsage(used);
    return [Math.max(best[0], tokens / clock), Math.max(best[1], tokens / (user + system) * 1e6)];
}

let [reading, writing, five] = [[0, 0], [0, 0], [0, 0]];
for (let round = 0; round < 5; round++) {
    const tokens = prompt(round * 10);
    const last = tokens.at(-1);
    await sequences[0].clearHistory();
    reading = await rate(reading, async () => {
        await sequences[0].evaluateWithoutGeneratingNewTokens(tokens.slice(0, -1));
        return tokens.length - 1;
    });
    writing = await rate(writing, () => write(sequences[0], last, 100));
    for (const [i, sequence] of sequences.entries()) {
        await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens(prompt(round * 10 + i + 1).slice(0, -1));
    }
    five = await rate(five, async () => {
        const counts = await Promise.all(sequences.map((sequence) => write(sequence, last, 100)));
        return counts.reduce((a, b) => a + b, 0);
    });
}
console.log("tokens per second     by the clock  by processor time");
for (const [what, [clock, processor]] of [["prompt of 290", reading], ["writing at 290", writing], ["five at once", five]])
    console.log(`${what.padEnd(21)} ${clock.toFixed(0).padStart(12)}  ${processor.toFixed(0).padStart(17)}`);
console.log(`memory ${(process.memoryUsage.rss() / 1e6).toFixed(0)} MB`);
process.exit(0);
