#!/usr/bin/env python3
"""Computes every figure of a run directory again from its per-request records and compares.

    scripts/verify_summary.py RUN_DIRECTORY

Reads profile_export.jsonl and checks profile_export_aiperf.json and summary.json against it. The
definitions are written out here a second time, from the table in sim/output/metrics.h; quantiles are
numpy's default (linear interpolation), within the error that a long run states for them. Exit code 0: all agree; 1: a difference, or a file is not valid.
"""
import json
import math
import sys
from pathlib import Path

RELATIVE = 1e-9
PER_REQUEST = ["time_to_first_token", "time_to_second_token", "request_latency", "inter_token_latency",
               "full_response_inter_token_latency", "output_token_throughput_per_user",
               "input_sequence_length", "output_sequence_length", "request_queue_time"]
QUANTILES = {f"p{q}" for q in (1, 5, 10, 25, 50, 75, 90, 95, 99)}
QUANTILE_ERROR = "quantile_relative_error"
OURS = {"ttft_ms": "time_to_first_token", "tpot_ms": "inter_token_latency", "e2el_ms": "request_latency"}

def quantile(ordered, q):
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)

def statistics(values):
    ordered, n = sorted(values), len(values)
    if n == 0:
        return {}
    mean = math.fsum(ordered) / n
    squares = math.fsum((x - mean) ** 2 for x in ordered)
    return {"avg": mean, "min": ordered[0], "max": ordered[-1], "count": n, "sum": math.fsum(ordered),
            "std": math.sqrt(squares / (n - 1)) if n > 1 else 0.0,
            **{f"p{q}": quantile(ordered, q / 100) for q in (1, 5, 10, 25, 50, 75, 90, 95, 99)}}

def expected_of(record, given):
    """The metrics of one request, from its times and lengths."""
    output, ttft = given["output_sequence_length"], given.get("time_to_first_token")
    e2el = (record["metadata"]["request_end_ns"] - record["metadata"]["request_start_ns"]) / 1e6
    tpot = (e2el - ttft) / (output - 1) if output >= 2 else None
    rate = 1000 / tpot if tpot and given["inter_token_latency"] > 0 else None
    return {"request_latency": e2el, "inter_token_latency": tpot, "full_response_inter_token_latency": tpot,
            "time_to_first_token": ttft if output >= 1 else None, "output_token_throughput_per_user": rate}

class Comparison:
    checked = wrong = 0

    def __call__(self, name, written, computed, scale=0.0, error=0.0):
        """`scale` is the size of what was subtracted on the way: rounding is relative to that. `error`: that the
        file states for the figure."""
        self.checked += 1
        missing = written is None or computed is None
        if written is not computed if missing else not math.isclose(
                written, computed, rel_tol=max(RELATIVE, error), abs_tol=RELATIVE * max(scale, 1e-3)):
            self.wrong += 1
            print(f"{name}: written {written}, computed {computed}")

def totals(records, finished, gpus):
    """The figures of the whole run: by AIPerf's names, and by the names in summary.json."""
    isl, osl, hit, computed, rebuilt, again = (
        sum(r["metrics"][tag]["value"] for r in finished)
        for tag in ("input_sequence_length", "output_sequence_length", "hit_tokens", "computed_tokens",
                    "rebuilt_tokens", "recomputed_after_preemption"))
    first = min((r["metadata"]["request_start_ns"] for r in records), default=0)
    seconds = (max((r["metadata"]["request_end_ns"] for r in finished), default=first) - first) / 1e9

    hit_rate = hit / isl if isl else None

    def rate(amount, over=1):
        return amount / seconds / over if seconds > 0 else None

    aiperf = {"request_count": len(finished), "error_request_count": len(records) - len(finished),
              "benchmark_duration": seconds, "request_throughput": rate(len(finished)),
              "output_token_throughput": rate(osl), "total_token_throughput": rate(isl + osl),
              "total_isl": isl, "total_osl": osl, "total_hit_tokens": hit, "total_computed_tokens": computed,
              "total_rebuilt_tokens": rebuilt, "total_recomputed_after_preemption": again,
              "prefix_cache_hit_rate": hit_rate, "cached_tput_per_gpu": rate(hit, gpus),
              "computed_tput_per_gpu": rate(computed, gpus), "output_tput_per_gpu": rate(osl, gpus)}
    refused = [r for r in records if r["error"] is not None and r["error"]["code"] == 400]
    ours = {"requests": len(records), "finished": len(finished), "refused": len(refused),
            "prompt_tokens": isl, "hit_tokens": hit, "computed_tokens": computed, "rebuilt_tokens": rebuilt,
            "net_saved_tokens": hit - rebuilt, "recomputed_after_preemption": again, "output_tokens": osl,
            "hit_rate": hit_rate, "output_tok_s": rate(osl), "duration_s": seconds}
    return aiperf, ours

def main(directory):
    lines = (directory / "profile_export.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    records = [r for r in records if r["metadata"]["benchmark_phase"] == "profiling"]
    written, summary = (json.loads((directory / name).read_text(encoding="utf-8"))
                        for name in ("profile_export_aiperf.json", "summary.json"))
    compare = Comparison()
    finished = [r for r in records if r["error"] is None]
    samples = {tag: [] for tag in PER_REQUEST}
    for r in finished:
        given = {tag: m["value"] for tag, m in r["metrics"].items()}
        for tag, value in expected_of(r, given).items():
            scale = given["request_latency"] if tag.endswith("inter_token_latency") else 0
            compare(f"{r['metadata']['x_request_id']} {tag}", given.get(tag), value, scale)
        for tag in PER_REQUEST:
            samples[tag] += [given[tag]] if tag in given else []
    statistic = {tag: statistics(values) for tag, values in samples.items()}
    for tag, computed in statistic.items():
        for key in sorted(set(computed) | set(written.get(tag, {})) - {"unit"}):
            compare(f"{tag}.{key}", written.get(tag, {}).get(key), computed.get(key), computed.get("max", 0),
                    written.get(QUANTILE_ERROR, 0) if key in QUANTILES else 0)
    aiperf, ours = totals(records, finished, written["input_config"]["gpus"])
    for tag, value in aiperf.items():
        compare(tag, written.get(tag, {}).get("avg"), value)
    for key, value in ours.items():
        compare(f"summary.json {key}", summary[key], value)
    for key, tag in OURS.items():
        for q, name in (("mean", "avg"), ("p50", "p50"), ("p90", "p90"), ("p99", "p99")):
            compare(f"summary.json {key}.{q}", summary[key][q], statistic[tag].get(name),
                    error=summary.get(QUANTILE_ERROR, 0) if name in QUANTILES else 0)
    print(f"{len(records)} requests, {compare.checked} figures compared, {compare.wrong} differ")
    return 1 if compare.wrong else 0

if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])) if len(sys.argv) == 2 else __doc__)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        sys.exit(f"{sys.argv[1]}: not a run directory of v4cap: {problem!r}")
