// What configuration files say of an engine's host: the section `host` of an engine file or of one
// of its versions, `engine.host` of a scenario, and `host` of a profile that was measured together
// with its host.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/config/section.h"
#include "sim/core/time.h"
#include "sim/cost/host_cost.h"

namespace v4cap {

// Empty where nothing is said.
struct HostStated {
  std::optional<Duration> eager_layer, eager_step, graph_step, prompt_token;
  std::optional<bool> overlapped;
  std::optional<std::int64_t> graph_max_batch;
  std::optional<std::vector<GraphSizes>> graph_sizes, eager_sizes;
};

// What `base` states where `over` says nothing.
HostStated overlaid(const HostStated& base, const HostStated& over);

// Keys of the section `host`; of a profile, some of them are required.
const std::vector<KeySpec>& host_keys();
const std::vector<KeySpec>& measured_host_keys();

HostStated read_host_stated(Section section);

// Each value as set in `section`, else as in `defaults`, else that of a host that costs nothing but
// `graph_step` a step.
HostCost read_host(Section section, const HostStated& defaults, Duration graph_step);

// The host that a profile was measured with: what an eager layer, an eager step and a captured step
// take, and the captured sizes, which the section must state; prompt_token 0, overlapped false and
// graph_max_batch the largest captured size where it does not.
HostCost read_measured_host(Section section);

// All values, under the names that sections have for them.
HostStated stated(const HostCost& host);
// The same as lines "key: value" of YAML, each behind `indent`.
std::string host_text(const HostCost& host, const std::string& indent);

// "1-8:1 10-32:2 40-64:4": captured batch sizes 1, 2, ... 8, 10, 12, ... 32, 36, 40, ... 64.
// nullopt when the text is no such list or not ascending.
std::optional<std::vector<GraphSizes>> parse_graph_sizes(const std::string& text);
std::string graph_sizes_text(const std::vector<GraphSizes>& sizes);

}  // namespace v4cap
