// The figures of `v4cap capacity` as one JSON document.
#include "sim/app/capacity_report.h"
#include "sim/output/json_writer.h"

namespace v4cap {

namespace {

using Option = CapacityOption;

void write_kinds(JsonWriter& json, const Capacity& c) {
  const KindBytes running = c.running();
  json.key("kinds").begin_array();
  for (const CacheKind kind : all_cache_kinds()) {
    json.begin_object().member("kind", name_of(kind));
    json.member("bytes_per_token", c.bytes_per_token_by_kind()[static_cast<std::size_t>(kind)]);
    json.member("bytes_per_request", running[kind]).end_object();
  }
  json.end_array();
}

void write_policy(JsonWriter& json, const Option& o) {
  const Capacity& c = o.capacity;
  json.member("policy", o.scenario.kv_cache.swa_policy);
  json.member("fallback", o.engine->cache().policy().fallback());
  json.member("caveat", o.engine->cache().policy().caveat());
  if (const auto ratio = o.layout().window_pool_ratio()) {
    json.member("window_pool_ratio", *ratio);
    json.member("window_pool_ratio_from", o.policy_sizes_window_pool() ? "policy" : "engine");
  }
  write_kinds(json, c);
  json.member("bytes_per_token", c.bytes_per_token());
  json.member("bytes_per_request", c.running().total().value);
  json.member("kv_tokens", c.tokens().value);
  json.member("kv_tokens_per_node", c.tokens().value * replicas_per_node(o.scenario));
  json.key("sequences").begin_array();
  for (const Tokens length : shown_lengths(o.scenario.engine.max_context)) {
    json.begin_object().member("tokens", length.value);
    json.member("running", c.running_sequences(length));
    json.member("cached", c.cached_sequences(length)).end_object();
  }
  json.end_array();
}

void write_deployment(JsonWriter& json, const DeploymentRow& row) {
  json.begin_object().member("tensor_parallel", row.widths.tensor_parallel);
  json.member("data_parallel", row.widths.data_parallel);
  if (row.option) {
    json.member("kv_gib_per_gpu", to_gib(row.option->kv_memory()));
    json.member("kv_gib_in_pools", to_gib(row.option->pool_memory()));
    json.member("kv_tokens_per_rank", row.rank_tokens.value);
    json.member("kv_tokens", row.engine_tokens.value);
  } else {
    json.member("refused", row.refused);
  }
  json.end_object();
}

void write_fit(JsonWriter& json, const RequestFit& fit) {
  json.key("request_fit").begin_object().member("fixed_bytes", fit.fixed_bytes);
  json.member("bytes_per_token", fit.bytes_per_token).key("lengths").begin_array();
  for (const RequestCost& cost : fit.costs) {
    json.begin_object().member("tokens", cost.length.value);
    json.member("reserved_bytes", cost.reserved.value);
    json.member("logged_bytes_per_token", cost.logged_bytes_per_token).end_object();
  }
  json.end_array().end_object();
}

void write_sensitivity(JsonWriter& json, const std::vector<SensitivityRow>& rows) {
  json.key("sensitivity").begin_array();
  for (const SensitivityRow& row : rows) {
    json.begin_object().member("change", row.change);
    if (row.refused.empty()) {
      json.member("kv_tokens", row.policy_tokens);
      json.member("engine_tokens", row.engine_tokens);
    } else {
      json.member("refused", row.refused);
    }
    json.end_object();
  }
  json.end_array();
}

void write_models(JsonWriter& json, const std::vector<ModelBytes>& rows) {
  json.key("models").begin_array();
  for (const ModelBytes& row : rows) {
    json.begin_object().member("model", row.model).member("tokens", row.length.value);
    json.member("bytes", row.kinds.total().value);
    json.member("bytes_per_token", row.bytes_per_token());
    json.member("ratio", row.ratio_to_first).key("kinds").begin_array();
    for (const CacheKind kind : all_cache_kinds()) {
      json.begin_object().member("kind", name_of(kind));
      json.member("bytes", row.kinds[kind]).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array();
}

void write_speeds(JsonWriter& json, const std::vector<DecodeSpeed>& rows) {
  json.key("decode_speeds").begin_array();
  for (const DecodeSpeed& row : rows) {
    const bool fits = row.sequences > 0;
    json.begin_object().member("model", row.model).member("tokens", row.context.value);
    json.member("sequences_per_rank", row.sequences);
    json.member("step_ms", fits ? std::optional(1000 * row.step_s) : std::nullopt);
    json.member("tok_s_per_gpu", fits ? std::optional(row.tokens_s_per_gpu) : std::nullopt);
    json.member("first_over_this", row.over_other).end_object();
  }
  json.end_array();
}

void write_cached(JsonWriter& json, const std::vector<CachedToken>& rows) {
  json.key("bytes_per_cached_token").begin_array();
  for (const CachedToken& row : rows) {
    json.begin_object().member("model", row.model).member("bytes", row.total());
    json.key("kinds").begin_array();
    for (const CacheKind kind : all_cache_kinds()) {
      json.begin_object().member("kind", name_of(kind));
      json.member("bytes", row.kinds[static_cast<std::size_t>(kind)]).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array();
}

void write_study(JsonWriter& json, const Option& first, const CapacityStudy& study) {
  json.key("memory").begin_array();
  for (const MemoryItem& item : study.memory) {
    json.begin_object().member("item", item.name).member("bytes", item.bytes.value);
    json.member("source", item.source).end_object();
  }
  json.end_array().key("engine_log").begin_array();
  for (const LogFigure& f : first.layout().engine_log()) {
    json.begin_object().member("key", f.key).member("label", f.label).member("value", f.value);
    json.member("unit", f.unit).member("formula", f.formula).end_object();
  }
  json.end_array().key("deployments").begin_array();
  for (const DeploymentRow& row : study.deployments) write_deployment(json, row);
  json.end_array();
  write_fit(json, study.fit);
  if (!study.sensitivity.empty()) write_sensitivity(json, study.sensitivity);
  if (!study.models.empty()) write_models(json, study.models);
  if (!study.speeds.empty()) write_speeds(json, study.speeds);
  if (!study.cached.empty()) write_cached(json, study.cached);
  if (!first.scenario.note.empty()) json.member("note", first.scenario.note);
  write_expectations(json, study.expectations);
}

}  // namespace

std::string capacity_json(const std::vector<CapacityOption>& options, const CapacityStudy& study) {
  const Option& first = options.front();
  const Scenario& s = first.scenario;
  JsonWriter json(2);
  json.begin_object();
  json.member("model", s.model.name).member("hardware", s.hardware.name);
  json.member("tensor_parallel", s.deployment.tensor_parallel);
  json.member("data_parallel", s.deployment.data_parallel);
  json.member("expert_parallel", s.deployment.expert_parallel);
  json.member("replicas_per_node", replicas_per_node(s));
  json.member("layout", s.kv_cache.layout);
  json.member("layout_version", s.kv_cache.layout_version);
  json.member("kv_gib_per_gpu", to_gib(first.kv_memory()));
  json.member("kv_gib_in_pools", to_gib(first.pool_memory()));
  json.member("point_bytes", first.capacity.point().total().value);
  write_policy(json, first);
  json.key("policies").begin_array();
  for (const Option& o : options) {
    json.begin_object();
    write_policy(json, o);
    json.end_object();
  }
  json.end_array();
  write_study(json, first, study);
  json.end_object();
  return json.text();
}

}  // namespace v4cap
