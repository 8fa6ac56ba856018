#!/usr/bin/env python3
"""Computes every figure of a run directory again from its per-request records and compares.

    scripts/verify_summary.py RUN_DIRECTORY

Reads profile_export.jsonl and checks profile_export_aiperf.json and summary.json against it. The
definitions are written out here a second time, from the table in sim/output/metrics.h; quantiles are
numpy's default (linear interpolation). Exit code 0: all agree; 1: a difference, or a file is not valid.
"""
import json
import math
import sys
from pathlib import Path

RELATIVE = 1e-9
PER_REQUEST = ["time_to_first_token", "time_to_second_token", "request_latency", "inter_token_latency",
               "full_response_inter_token_latency", "output_token_throughput_per_user",
               "input_sequence_length", "output_sequence_length", "request_queue_time"]
QUANTILES = [1, 5, 10, 25, 50, 75, 90, 95, 99]


def quantile(ordered, q):
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def statistics(values):
    ordered, n = sorted(values), len(values)
    mean = math.fsum(ordered) / n
    squares = math.fsum((x - mean) ** 2 for x in ordered)
    found = {"avg": mean, "min": ordered[0], "max": ordered[-1], "count": n, "sum": math.fsum(ordered),
             "std": math.sqrt(squares / (n - 1)) if n > 1 else 0.0}
    found.update({f"p{q}": quantile(ordered, q / 100) for q in QUANTILES})
    return found


def per_request(record):
    """The metrics of one request from its times and lengths alone."""
    given = {tag: m["value"] for tag, m in record["metrics"].items()}
    e2el = (record["metadata"]["request_end_ns"] - record["metadata"]["request_start_ns"]) / 1e6
    own = {"request_latency": e2el}
    if given["output_sequence_length"] >= 2:
        own["inter_token_latency"] = (e2el - given["time_to_first_token"]) / (given["output_sequence_length"] - 1)
        own["full_response_inter_token_latency"] = own["inter_token_latency"]
    if given.get("inter_token_latency", 0) > 0:
        own["output_token_throughput_per_user"] = 1000 / given["inter_token_latency"]
    if (given["output_sequence_length"] >= 1) != ("time_to_first_token" in given):
        own["time_to_first_token"] = None
    return given, own


class Comparison:
    def __init__(self):
        self.checked, self.wrong = 0, 0

    def __call__(self, name, written, computed, scale=0.0):
        self.checked += 1
        if written is None or computed is None:
            same = written is computed
        else:
            same = math.isclose(written, computed, rel_tol=RELATIVE, abs_tol=RELATIVE * max(scale, 1e-3))
        if not same:
            self.wrong += 1
            print(f"{name}: written {written}, computed {computed}")


def main(directory):
    lines = (directory / "profile_export.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    written = json.loads((directory / "profile_export_aiperf.json").read_text(encoding="utf-8"))
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    compare = Comparison()
    finished = [r for r in records if r["error"] is None]
    samples = {tag: [] for tag in PER_REQUEST}
    for r in finished:
        given, own = per_request(r)
        for tag, value in own.items():
            compare(f"{r['metadata']['x_request_id']} {tag}", given.get(tag), value, own["request_latency"])
        for tag in PER_REQUEST:
            samples[tag] += [given[tag]] if tag in given else []
    for tag, values in samples.items():
        computed = statistics(values) if values else {}
        for key in set(computed) | (set(written.get(tag, {})) - {"unit"}):
            compare(f"{tag}.{key}", written.get(tag, {}).get(key), computed.get(key), computed.get("max", 0))

    def total(tag):
        return sum(r["metrics"][tag]["value"] for r in finished)

    start = min((r["metadata"]["request_start_ns"] for r in records), default=0)
    seconds = (max(r["metadata"]["request_end_ns"] for r in finished) - start) / 1e9 if finished else 0
    isl, osl, hit = total("input_sequence_length"), total("output_sequence_length"), total("hit_tokens")
    computed, rebuilt = total("computed_tokens"), total("rebuilt_tokens")
    again = total("recomputed_after_preemption")
    gpus = written["input_config"]["gpus"]
    rate = (lambda amount: amount / seconds) if seconds > 0 else (lambda amount: None)
    per_gpu = (lambda amount: amount / seconds / gpus) if seconds > 0 else (lambda amount: None)
    hit_rate = hit / isl if isl else None
    scalars = {"request_count": len(finished), "error_request_count": len(records) - len(finished),
               "benchmark_duration": seconds, "request_throughput": rate(len(finished)),
               "output_token_throughput": rate(osl), "total_token_throughput": rate(isl + osl),
               "total_isl": isl, "total_osl": osl, "total_hit_tokens": hit,
               "total_computed_tokens": computed, "total_rebuilt_tokens": rebuilt,
               "total_recomputed_after_preemption": again, "prefix_cache_hit_rate": hit_rate,
               "cached_tput_per_gpu": per_gpu(hit), "computed_tput_per_gpu": per_gpu(computed),
               "output_tput_per_gpu": per_gpu(osl)}
    for tag, value in scalars.items():
        compare(tag, written.get(tag, {}).get("avg"), value)
    ours = {"requests": len(records), "finished": len(finished), "prompt_tokens": isl, "hit_tokens": hit,
            "computed_tokens": computed, "rebuilt_tokens": rebuilt, "net_saved_tokens": hit - rebuilt,
            "recomputed_after_preemption": again, "output_tokens": osl, "hit_rate": hit_rate,
            "output_tok_s": rate(osl), "duration_s": seconds}
    for key, value in ours.items():
        compare(f"summary.json {key}", summary[key], value)
    for key, tag in (("ttft_ms", "time_to_first_token"), ("tpot_ms", "inter_token_latency"), ("e2el_ms", "request_latency")):
        computed = statistics(samples[tag]) if samples[tag] else {}
        for q in ("mean", "p50", "p90", "p99"):
            compare(f"summary.json {key}.{q}", summary[key][q], computed.get("avg" if q == "mean" else q))
    print(f"{len(records)} requests, {compare.checked} figures compared, {compare.wrong} differ")
    return 1 if compare.wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(Path(sys.argv[1])))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        print(f"{sys.argv[1]}: not a run directory of v4cap: {problem!r}")
        sys.exit(1)
