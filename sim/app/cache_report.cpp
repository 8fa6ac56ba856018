// How a CacheStudy is shown: net saved share by policy and memory first, because that is what a
// planner chooses by; everything that was counted on request and in JSON.
#include <fmt/format.h>

#include <algorithm>

#include "sim/app/cache_study.h"
#include "sim/output/humanise.h"
#include "sim/output/json_writer.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

double share(Tokens part, Tokens whole) {
  return whole.value == 0 ? 0 : static_cast<double>(part.value) / static_cast<double>(whole.value);
}

double net(const CachePoint& point) {
  return share(point.totals.net_saved(), point.totals.prompt);
}

// As many digits as tell memories of a column apart: four of any size.
std::string memory_name(Bytes memory) {
  if (memory == kEndlessMemory) return "endless";
  return fmt::format("{:.4g} GiB", to_gib(memory));
}

std::string percent(double x) {
  return fmt::format("{:.2f}", 100 * x);
}

// Which exact policy without scores saves most at a memory.
const CacheRow* best_fixed(const CacheStudy& study, std::size_t column) {
  const CacheRow* best = nullptr;
  for (const CacheRow& row : study.rows) {
    if (!row.exact || row.policy.starts_with("reuse")) continue;
    if (best == nullptr || net(row.points[column]) > net(best->points[column])) best = &row;
  }
  return best;
}

void write_kinds(JsonWriter& json, const char* name, const KindBytes& bytes) {
  json.key(name).begin_object();
  for (const CacheKind kind : all_cache_kinds()) json.member(name_of(kind), bytes[kind]);
  json.end_object();
}

void write_point(JsonWriter& json, const CacheStudy& study, const CacheRow& row,
                 std::size_t column) {
  const CachePoint& point = row.points[column];
  const CacheTotals& t = point.totals;
  json.begin_object().member("policy", row.policy).member("layout", study.layout);
  json.key("kv_gib");
  if (study.memories[column] == kEndlessMemory) {
    json.value("inf");
  } else {
    json.value(to_gib(study.memories[column]));
  }
  json.member("hit_rate", t.hit_rate());
  json.member("rebuilt_rate", share(t.rebuilt, t.prompt));
  json.member("net_saved_rate", net(point));
  json.member("prompt_tokens", t.prompt.value).member("hit_tokens", t.hit.value);
  json.member("rebuilt_tokens", t.rebuilt.value);
  json.member("net_saved_tokens", t.net_saved().value).member("hits", t.hits);
  json.member("written_bytes", t.written.total().value);
  json.member("read_bytes", t.read.total().value);
  json.member("evicted_bytes", t.evicted.total().value);
  write_kinds(json, "written_bytes_by_kind", t.written);
  write_kinds(json, "read_bytes_by_kind", t.read);
  json.member("points", t.points);
  json.member("method", point.one_pass ? "one pass" : "replay");
  json.end_object();
}

// The first memory at which nine tenths of what an endless one saves are saved.
std::string enough_at(const CacheStudy& study, const CacheRow& row) {
  const double most = net(row.points.back());
  if (most <= 0) return "-";
  for (std::size_t c = 0; c < row.points.size(); ++c) {
    if (net(row.points[c]) >= 0.9 * most) return memory_name(study.memories[c]);
  }
  return "-";
}

// Where the next memory brings most, in points: the edge of the cliff.
std::string cliff(const CacheStudy& study, const CacheRow& row) {
  double steepest = 0.01;
  std::string out = "-";
  for (std::size_t c = 1; c < row.points.size(); ++c) {
    const double gain = net(row.points[c]) - net(row.points[c - 1]);
    if (gain <= steepest) continue;
    steepest = gain;
    out = fmt::format("{} to {}: {:+.0f}", memory_name(study.memories[c - 1]),
                      memory_name(study.memories[c]), 100 * gain);
  }
  return out;
}

Table net_table(const CacheStudy& study) {
  std::vector<std::string> header = {"net saved, % of prompt tokens"};
  for (const Bytes memory : study.memories) header.push_back(memory_name(memory));
  const bool curve = study.memories.size() > 1;
  if (curve) header.insert(header.end(), {"90 % of its most at", "steepest, points"});
  Table table(header);
  const auto add = [&](const CacheRow& row) {
    std::vector<std::string> cells = {row.policy + (row.exact ? "" : " *")};
    for (const CachePoint& point : row.points) {
      cells.push_back(percent(net(point)) + (point.one_pass ? " " : "~"));
    }
    if (curve) cells.insert(cells.end(), {enough_at(study, row), cliff(study, row)});
    table.row(std::move(cells));
  };
  for (const CacheRow& row : study.rows) add(row);
  if (study.hindsight.empty()) return table;
  const Tokens prompt = study.rows.front().points.front().totals.prompt;
  table.group("with hindsight");
  std::vector<std::string> estimate = {"farthest next use, estimate"},
                           bound = {"bound, windows free"};
  for (const Hindsight& h : study.hindsight) {
    estimate.push_back(percent(share(h.estimate, prompt)) + " ");
    bound.push_back(percent(share(h.bound, prompt)) + " ");
  }
  for (auto* cells : {&estimate, &bound}) {
    if (curve) cells->insert(cells->end(), {"", ""});
    table.row(*cells);
  }
  return table;
}

// How far `reuse` is on the way from the best fixed policy to hindsight's estimate.
std::string gap_closed(const CacheStudy& study) {
  const auto reuse = std::find_if(study.rows.begin(), study.rows.end(), [](const CacheRow& row) {
    return row.policy.starts_with("reuse");
  });
  if (reuse == study.rows.end() || study.hindsight.empty()) return "";
  std::string out;
  for (std::size_t c = 0; c < study.memories.size(); ++c) {
    const CacheRow* fixed = best_fixed(study, c);
    if (fixed == nullptr || study.memories[c] == kEndlessMemory) continue;
    const CacheTotals& t = reuse->points[c].totals;
    const double best = net(fixed->points[c]), own = net(reuse->points[c]);
    const double gap = share(study.hindsight[c].estimate, t.prompt) - best;
    out += fmt::format("  {}: {} {}, best exact fixed policy {} {}", memory_name(study.memories[c]),
                       reuse->policy, percent(own), fixed->policy, percent(best));
    if (own < best) {
      out += "; behind it";
    } else if (gap > 0.0005) {
      out += fmt::format("; {:.0f} % of the gap to hindsight", 100 * (own - best) / gap);
    }
    out += '\n';
  }
  return out;
}

std::string gigabytes(std::int64_t bytes) {
  const double gb = static_cast<double>(bytes) * 1e-9;
  return grouped(gb, decimals_for(gb));
}

Table detail_table(const CacheStudy& study) {
  Table table({"policy", "hit, %", "rebuilt, %", "net saved, %", "written GB: entries", "windows",
               "read GB: entries", "windows", "evicted GB", "points kept"});
  for (std::size_t c = 0; c < study.memories.size(); ++c) {
    table.group(memory_name(study.memories[c]));
    for (const CacheRow& row : study.rows) {
      const CacheTotals& t = row.points[c].totals;
      const auto windows = [](const KindBytes& b) {
        return b[CacheKind::swa] + b[CacheKind::tails];
      };
      table.row({row.policy + (row.exact ? "" : " *"), percent(t.hit_rate()),
                 percent(share(t.rebuilt, t.prompt)), percent(net(row.points[c])),
                 gigabytes(t.written.total().value - windows(t.written)),
                 gigabytes(windows(t.written)), gigabytes(t.read.total().value - windows(t.read)),
                 gigabytes(windows(t.read)), gigabytes(t.evicted.total().value),
                 grouped(t.points)});
    }
  }
  return table;
}

}  // namespace

std::string cache_json(const CacheStudy& study) {
  JsonWriter json(2);
  json.begin_object().member("trace", study.trace).member("requests", study.requests);
  json.member("layout", study.layout).member("block_tokens", study.block.value);
  json.member("reuse_generated", study.reuse_generated);
  json.member("sessions_at_a_time", study.sessions_at_a_time);
  json.key("curves").begin_array();
  for (const CacheRow& row : study.rows) {
    for (std::size_t c = 0; c < row.points.size(); ++c) write_point(json, study, row, c);
  }
  json.end_array();
  json.key("policies").begin_array();
  for (const CacheRow& row : study.rows) {
    json.begin_object().member("policy", row.policy).member("exact", row.exact);
    json.member("caveat", row.caveat).member("computes_again", row.fallback).end_object();
  }
  json.end_array();
  json.key("hindsight").begin_array();
  for (std::size_t c = 0; c < study.hindsight.size(); ++c) {
    const Tokens prompt = study.rows.front().points.front().totals.prompt;
    json.begin_object().key("kv_gib");
    if (study.memories[c] == kEndlessMemory) {
      json.value("inf");
    } else {
      json.value(to_gib(study.memories[c]));
    }
    json.member("bound_rate", share(study.hindsight[c].bound, prompt));
    json.member("estimate_rate", share(study.hindsight[c].estimate, prompt)).end_object();
  }
  json.end_array().end_object();
  return json.text();
}

std::string cache_text(const CacheStudy& study, bool details, const TextStyle& style) {
  const Tokens prompt = study.rows.front().points.front().totals.prompt;
  std::string out = fmt::format(
      "{}: {} requests, {} prompt tokens, {}, without time\n"
      "layout {}, blocks of {} tokens, generated tokens {}; memory is of one GPU\n\n",
      study.trace, grouped(static_cast<std::int64_t>(study.requests)), human(prompt),
      study.sessions_at_a_time == 0
          ? "in the order of the trace"
          : fmt::format("{} sessions taking turns", study.sessions_at_a_time),
      study.layout, study.block.value, study.reuse_generated ? "stay cached" : "are not cached");
  out += net_table(study).text(style);
  if (const std::string gap = gap_closed(study); !gap.empty()) out += '\n' + gap;
  if (details) out += '\n' + detail_table(study).text(style);
  out += "\n~ replayed at this memory; all others from one pass over all memories\n";
  for (const CacheRow& row : study.rows) {
    if (!row.caveat.empty()) out += fmt::format("* {}: {}\n", row.policy, row.caveat);
  }
  if (!study.hindsight.empty()) {
    out +=
        "Hindsight knows the future. Its bound is exact (Belady) and lets windows cost nothing; "
        "its\n"
        "estimate pays for them and is neither a bound nor an optimum, because sizes differ.\n";
  }
  return out;
}

}  // namespace v4cap
