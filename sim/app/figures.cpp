#include "sim/app/figures.h"

#include <algorithm>

#include "kernels/compressor_csa/work.h"
#include "sim/app/capacity_speed.h"
#include "sim/config/data_files.h"
#include "sim/config/model_file.h"
#include "sim/config/value.h"
#include "sim/cost/flops.h"
#include "sim/model/compression.h"
#include "sim/output/metrics.h"

namespace v4cap {

namespace {

double real(std::int64_t n) {
  return static_cast<double>(n);
}

double as_points(std::int64_t part, std::int64_t whole) {
  if (whole == 0) throw RunError("no prompt tokens to take a rate of");
  return real(part) / real(whole);
}

double kv_tokens(const CapacityQuestion& q) {
  return real(q.option.capacity.tokens().value);
}

double kv_tokens_per_node(const CapacityQuestion& q) {
  return kv_tokens(q) * real(replicas_per_node(q.option.scenario));
}

double kv_gib(const CapacityQuestion& q) {
  return to_gib(q.option.kv_memory());
}

double bytes_per_token(const CapacityQuestion& q) {
  if (q.name.part.empty()) return q.option.capacity.bytes_per_token();
  const auto kinds = all_cache_kinds();
  const auto kind = std::ranges::find(kinds, q.name.part, [](CacheKind k) { return name_of(k); });
  return q.option.capacity.bytes_per_token_by_kind()[static_cast<std::size_t>(*kind)];
}

double point_bytes(const CapacityQuestion& q) {
  return real(q.option.capacity.point().total().value);
}

double engine_figure(const CapacityQuestion& q) {
  if (const auto value = q.option.figure(q.name.part.c_str())) return *value;
  std::vector<std::string> known;
  for (const LogFigure& f : q.option.layout().engine_log()) known.push_back(f.key);
  const std::string& layout = q.option.scenario.kv_cache.layout;
  throw RunError(known.empty() ? "layout " + layout + " has no log"
                               : "layout " + layout + " has no figure '" + q.name.part + "'" +
                                     suggestion(q.name.part, known));
}

// Tokens whose compressed entries, or whose windows, a pool holds.
double pool_tokens(const CapacityQuestion& q) {
  const Layout& layout = q.option.layout();
  std::vector<std::string> known;
  for (const PoolSpec& pool : layout.pools()) {
    known.push_back(pool.name);
    if (pool.name != q.name.part) continue;
    const std::int64_t blocks = kHcaTokensPerEntry;  // whole entries whatever the block
    const bool window = q.option.engine->cache().policy().stores_window_of_every_token();
    const std::int64_t bytes = pool.bytes_of(pool.has_blocks() ? layout.blocks(0, blocks, window)
                                                               : layout.windows(0, blocks));
    const std::int64_t tokens = blocks * q.option.scenario.kv_cache.block.value;
    return real(pool.capacity.value) / real(bytes) * real(tokens);
  }
  throw RunError("no pool '" + q.name.part + "'" + suggestion(q.name.part, known));
}

// The running state of one sequence on one rank without repetition: the scenario's model first,
// then the other one, when there is one.
std::vector<ModelBytes> sequences(const CapacityQuestion& q, bool with_other) {
  std::vector<std::string> others;
  if (with_other) others.push_back(q.name.part);
  return model_bytes(q.option.scenario, others, {Tokens{q.name.at}});
}

double sequence_bytes(const CapacityQuestion& q) {
  return real(sequences(q, false).front().kinds.total().value);
}

double ratio(const CapacityQuestion& q) {
  return 1 / sequences(q, true).back().ratio_to_first;
}

double breakeven_tokens(const CapacityQuestion& q) {
  const auto n = breakeven(q.option.scenario, q.name.part);
  if (!n) throw RunError("never smaller than " + q.name.part);
  return real(n->value);
}

double reserved_breakeven_tokens(const CapacityQuestion& q) {
  const auto n = reserved_breakeven(q.option, request_fit(q.option, q.load), q.name.part);
  if (!n) throw RunError("never smaller than " + q.name.part);
  return *n;
}

double flops_ratio(const CapacityQuestion& q) {
  const Scenario& s = q.option.scenario;
  const Tokens context{q.name.at};
  const double own = flops_per_token(s.model, context).fp8_equivalent(s.kv_cache.indexer);
  // No other model has index scores with FP4 on both sides.
  const ModelData other = load_model(q.name.part);
  const bool fp4 = s.kv_cache.indexer == IndexerFormat::fp4 && other.entry_fp4.has_value();
  return own / flops_per_token(other.spec, context)
                   .fp8_equivalent(fp4 ? IndexerFormat::fp4 : IndexerFormat::fp8);
}

double decode_tok_s_per_gpu(const CapacityQuestion& q) {
  const ScenarioCost cost = make_cost(q.option.scenario);
  const DecodeSpeed speed = decode_speed(q.option, *cost.model, Tokens{q.name.at});
  if (speed.sequences == 0) throw RunError("not even one sequence of that length fits");
  return speed.tokens_s_per_gpu;
}

double decode_speedup(const CapacityQuestion& q) {
  const double its =
      speed_option(q.option, q.load, q.name.part).at(Tokens{q.name.at}).tokens_s_per_gpu;
  if (its == 0) throw RunError("not even one sequence of " + q.name.part + " fits");
  return decode_tok_s_per_gpu(q) / its;
}

double decode_breakeven_tokens(const CapacityQuestion& q) {
  const auto n = speed_breakeven(q.option, q.load, q.name.part);
  if (!n) throw RunError("never faster than " + q.name.part);
  return real(n->value);
}

// What the scenario's policy runs again on a hit of so many tokens.
RebuildTime rebuild_at(const CapacityQuestion& q) {
  const Tokens position{q.name.at};
  const Resume resume = q.option.engine->cache().policy().resume(position, Tokens{0});
  if (resume.rebuild == Tokens{0}) {
    throw RunError("policy " + q.option.scenario.kv_cache.swa_policy + " rebuilds nothing there");
  }
  return rebuild_time(q.option.scenario, resume.rebuild, resume.position);
}

double rebuild_ms(const CapacityQuestion& q) {
  return 1000 * rebuild_at(q).total_s;
}

double rebuild_attention_ms(const CapacityQuestion& q) {
  return 1000 * rebuild_at(q).attention_s;
}

double window_tokens(const CapacityQuestion& q) {
  return real(q.option.scenario.model.window.value);
}

double top_k(const CapacityQuestion& q) {
  return real(q.option.scenario.model.indexer.top_k);
}

const ModelSpec& with_layers(const CapacityQuestion& q, LayerKind kind, const char* name) {
  const ModelSpec& model = q.option.scenario.model;
  if (model.count(kind) == 0) throw RunError(model.name + " has no " + name + " layer");
  return model;
}

double csa_stride(const CapacityQuestion& q) {
  with_layers(q, LayerKind::csa, "CSA");
  return real(kCsaTokensPerEntry);
}

double csa_span(const CapacityQuestion& q) {
  with_layers(q, LayerKind::csa, "CSA");
  return real(kernels::compressor_csa::kPooledRows);
}

double hca_stride(const CapacityQuestion& q) {
  with_layers(q, LayerKind::hca, "HCA");
  return real(kHcaTokensPerEntry);
}

double csa_entries(const CapacityQuestion& q) {
  with_layers(q, LayerKind::csa, "CSA");
  return real(q.name.at / kCsaTokensPerEntry);
}

double hca_entries(const CapacityQuestion& q) {
  with_layers(q, LayerKind::hca, "HCA");
  return real(q.name.at / kHcaTokensPerEntry);
}

double hit_rate(const RunResult& r, const FigureName&) {
  return as_points(r.totals.hit_tokens.value, r.totals.prompt_tokens.value);
}

double hit_rate_from(const RunResult& r, const FigureName& name) {
  Tokens hit, prompt;
  for (const RequestRecord& record : r.records) {
    if (std::int64_t{record.id} + 1 < name.at) continue;
    hit += record.hit;
    prompt += record.prompt;
  }
  return as_points(hit.value, prompt.value);
}

double ideal_hit_rate(const RunResult& r, const FigureName&) {
  if (!r.totals.ideal_hit_rate) throw RunError("the workload has no block ids");
  return *r.totals.ideal_hit_rate;
}

double hit_rate_of_ideal(const RunResult& r, const FigureName& name) {
  const double ideal = ideal_hit_rate(r, name);
  if (ideal <= 0) throw RunError("the workload has no prefix that comes again");
  return hit_rate(r, name) / ideal;
}

// From the arrival of the N-th request to the end of the last.
double seconds_from(const RunResult& r, const FigureName& name) {
  SimTime first = SimTime::max(), last = kSimStart;
  for (const RequestRecord& record : r.records) {
    if (std::int64_t{record.id} + 1 < name.at) continue;
    first = std::min(first, record.arrival);
    last = std::max(last, record.finished);
  }
  if (last < first) throw RunError("there is no request of that number");
  return to_seconds(last - first);
}

double requests_per_s(const RunResult& r, const FigureName&) {
  const Duration span = r.totals.last_finish - r.totals.first_arrival;
  if (span <= Duration{0}) throw RunError("the run took no time");
  return real(r.totals.finished) / to_seconds(span);
}

// Mean time to the first token, of requests that have one.
double ttft_mean_s(const RunResult& r, const FigureName&) {
  double sum_ms = 0;
  std::int64_t count = 0;
  for (const RequestRecord& record : r.records) {
    const auto ttft = time_to_first_token_ms(record);
    if (!ttft) continue;
    sum_ms += *ttft;
    ++count;
  }
  if (count == 0) throw RunError("no request has a first token");
  return sum_ms / 1e3 / real(count);
}

double rebuilt_tokens(const RunResult& r, const FigureName&) {
  return real(r.totals.rebuilt_tokens.value);
}

double refused(const RunResult& r, const FigureName&) {
  return real(r.totals.refused);
}

using Part = FigureKind::Part;

std::vector<std::string> names_of_kinds() {
  std::vector<std::string> names;
  for (const CacheKind kind : all_cache_kinds()) names.emplace_back(name_of(kind));
  return names;
}

[[noreturn]] void refuse(const std::string& message) {
  throw InputError(Place{}, message);
}

void check_part(const FigureName& name) {
  const Part part = name.kind->part;
  const std::string& given = name.part;
  if (given.empty()) {
    if (part == Part::none || part == Part::cache_kind_or_none) return;
    refuse("figure '" + name.text + "': expected " + name.kind->name + ".NAME");
  }
  std::vector<std::string> known;
  if (part == Part::none)
    refuse("figure '" + name.text + "': " + name.kind->name + " has no parts");
  if (part == Part::cache_kind_or_none) known = names_of_kinds();
  if (part == Part::model) known = data_names(DataKind::model, "");
  if (known.empty() || std::ranges::find(known, given) != known.end()) return;
  refuse("figure '" + name.text + "': unknown name '" + given + "'" + suggestion(given, known));
}

}  // namespace

const std::vector<FigureKind>& figure_kinds() {
  static const std::vector<FigureKind> kinds = {
      {"kv_tokens", Part::none, false, "tokens", "kept under the policy by one replica", kv_tokens},
      {"kv_tokens_per_node", Part::none, false, "tokens", "the same of a node", kv_tokens_per_node},
      {"kv_gib", Part::none, false, "GiB", "KV memory of a GPU", kv_gib},
      {"bytes_per_token", Part::cache_kind_or_none, false, "B",
       "that a kept token takes on a GPU, of a cache kind or of all", bytes_per_token},
      {"point_bytes", Part::none, false, "B", "of a kept point", point_bytes},
      {"pool_tokens", Part::pool, false, "tokens", "that a pool of the layout holds", pool_tokens},
      {"log", Part::engine_log, false, "", "a figure of the engine's log", engine_figure},
      {"sequence_bytes", Part::none, true, "B", "of a running sequence of N tokens",
       sequence_bytes},
      {"ratio", Part::model, true, "", "bytes of a sequence of N tokens over the other model's",
       ratio},
      {"breakeven_tokens", Part::model, false, "tokens",
       "from which a running sequence takes less than the other model's", breakeven_tokens},
      {"reserved_breakeven_tokens", Part::model, false, "tokens",
       "from which what the engine reserves for a request is less than the other model's sequence",
       reserved_breakeven_tokens},
      {"flops_ratio", Part::model, true, "",
       "FP8-equivalent FLOPs of a token after N over the other model's", flops_ratio},
      {"decode_tok_s_per_gpu", Part::none, true, "tok/s",
       "of a node full of sequences of N tokens that decode", decode_tok_s_per_gpu},
      {"decode_speedup", Part::model, true, "", "that over the other model's", decode_speedup},
      {"decode_breakeven_tokens", Part::model, false, "tokens",
       "from which a full node decodes faster than one of the other model",
       decode_breakeven_tokens},
      {"rebuild_ms", Part::none, true, "ms",
       "to run again what the policy rebuilds on a hit of N tokens", rebuild_ms},
      {"rebuild_attention_ms", Part::none, true, "ms", "of it in attention modules",
       rebuild_attention_ms},
      {"window_tokens", Part::none, false, "tokens", "of the sliding window", window_tokens},
      {"top_k", Part::none, false, "entries", "that the indexer picks", top_k},
      {"csa_stride", Part::none, false, "tokens", "between CSA entries", csa_stride},
      {"csa_span", Part::none, false, "tokens", "that a CSA entry is made of", csa_span},
      {"hca_stride", Part::none, false, "tokens", "between HCA entries", hca_stride},
      {"csa_entries", Part::none, true, "entries", "of a layer after N tokens", csa_entries},
      {"hca_entries", Part::none, true, "entries", "of a layer after N tokens", hca_entries},
      {"hit_rate", Part::none, false, "", "hit / prompt tokens", nullptr, hit_rate},
      {"hit_rate_from", Part::none, true, "", "the same from the N-th request on", nullptr,
       hit_rate_from},
      {"ideal_hit_rate", Part::none, false, "", "of an infinite cache", nullptr, ideal_hit_rate},
      {"hit_rate_of_ideal", Part::none, false, "", "hit rate over that", nullptr,
       hit_rate_of_ideal},
      {"rebuilt_tokens", Part::none, false, "tokens", "run again to restore windows", nullptr,
       rebuilt_tokens},
      {"seconds_from", Part::none, true, "s",
       "from the arrival of the N-th request to the end of the last", nullptr, seconds_from},
      {"requests_per_s", Part::none, false, "", "finished, over the run", nullptr, requests_per_s},
      {"ttft_mean_s", Part::none, false, "s", "mean time to the first token", nullptr, ttft_mean_s},
      {"refused", Part::none, false, "requests", "that never ran", nullptr, refused},
  };
  return kinds;
}

FigureName parse_figure(const std::string& text) {
  FigureName name;
  name.text = text;
  const std::size_t mark = text.find('@');
  const std::string path = text.substr(0, mark);
  const std::size_t dot = path.find('.');
  const std::string base = path.substr(0, dot);
  if (dot != std::string::npos) name.part = path.substr(dot + 1);

  const auto& kinds = figure_kinds();
  const auto kind = std::ranges::find(kinds, base, &FigureKind::name);
  if (kind == kinds.end()) {
    std::vector<std::string> known;
    for (const FigureKind& k : kinds) known.push_back(k.name);
    refuse("unknown figure '" + base + "'" + suggestion(base, known));
  }
  name.kind = &*kind;
  if (mark != std::string::npos) {
    std::string hint;
    name.at = parse_value<std::int64_t>(text.substr(mark + 1), hint).value_or(0);
    if (name.at < 1) refuse("figure '" + text + "': expected a whole number above 0 after '@'");
  }
  if (kind->at != (name.at > 0)) {
    refuse("figure '" + text + "': expected " + (kind->at ? "@N at its end" : "no '@'"));
  }
  check_part(name);
  return name;
}

}  // namespace v4cap
