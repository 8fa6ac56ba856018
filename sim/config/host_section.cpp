#include "sim/config/host_section.h"

#include <charconv>
#include <limits>
#include <sstream>

namespace v4cap {

namespace {

// Of one step, layer or token: times a prompt it is still far from what time can hold.
constexpr Duration kLongest = std::chrono::seconds(1);

constexpr std::int64_t kBatchMax = 1'000'000;

std::vector<KeySpec> keys_of_host(bool measured) {
  std::vector<KeySpec> keys = {
      key<Duration>("eager_layer", "host time of one layer that is launched kernel by kernel"),
      key<Duration>("eager_step", "host time of a step without graphs, beside its layers"),
      key<Duration>("graph_step", "host time of a step that runs from captured graphs"),
      key<Duration>("prompt_token", "host time of each prompt token before its first step"),
      key<bool>("overlapped", "true: the host prepares a step while the GPU runs the one before"),
      key<std::int64_t>("graph_max_batch", "largest decode batch that runs from captured graphs")
          .within(0, kBatchMax),
      key<std::string>("graph_sizes",
                       "captured batch sizes, first-last:step such as 1-8:1 10-32:2, or all"),
      key<std::string>("eager_sizes",
                       "sizes that a step without graphs is filled up to, written the same")};
  for (KeySpec& spec : keys) {
    const std::string& name = spec.name;
    spec.required = measured && (name == "eager_layer" || name == "eager_step" ||
                                 name == "graph_step" || name == "graph_sizes");
  }
  return keys;
}

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < 1 || value > kBatchMax) return std::nullopt;
  return value;
}

std::optional<std::vector<GraphSizes>> sizes_at(Section& section, const std::string& key,
                                                const std::string& fallback) {
  const std::string text = section.optional<std::string>(key, fallback);
  if (text == "all") return std::vector<GraphSizes>{};
  auto sizes = parse_graph_sizes(text);
  if (!sizes) {
    section.error(key,
                  "expected all, or ascending ranges first-last:step such as 1-8:1 10-32:2, got " +
                      shown(text));
  }
  return sizes;
}

}  // namespace

std::optional<std::vector<GraphSizes>> parse_graph_sizes(const std::string& text) {
  std::vector<GraphSizes> sizes;
  std::istringstream words(text);
  std::string word;
  while (words >> word) {
    const std::size_t dash = word.find('-'), colon = word.find(':');
    if (dash == std::string::npos || colon == std::string::npos || colon < dash) return {};
    const auto first = whole(std::string_view(word).substr(0, dash));
    const auto last = whole(std::string_view(word).substr(dash + 1, colon - dash - 1));
    const auto step = whole(std::string_view(word).substr(colon + 1));
    if (!first || !last || !step || *last < *first || (*last - *first) % *step != 0) return {};
    if (!sizes.empty() && *first <= sizes.back().last) return {};
    sizes.push_back({*first, *last, *step});
  }
  if (sizes.empty()) return {};
  return sizes;
}

std::string graph_sizes_text(const std::vector<GraphSizes>& sizes) {
  if (sizes.empty()) return "all";
  std::string text;
  for (const GraphSizes& s : sizes) {
    text += (text.empty() ? "" : " ") + std::to_string(s.first) + '-' + std::to_string(s.last) +
            ':' + std::to_string(s.step);
  }
  return text;
}

HostStated overlaid(const HostStated& base, const HostStated& over) {
  const auto either = [](const auto& first, const auto& second) { return first ? first : second; };
  return {either(over.eager_layer, base.eager_layer),
          either(over.eager_step, base.eager_step),
          either(over.graph_step, base.graph_step),
          either(over.prompt_token, base.prompt_token),
          either(over.overlapped, base.overlapped),
          either(over.graph_max_batch, base.graph_max_batch),
          either(over.graph_sizes, base.graph_sizes),
          either(over.eager_sizes, base.eager_sizes)};
}

const std::vector<KeySpec>& host_keys() {
  static const std::vector<KeySpec> keys = keys_of_host(false);
  return keys;
}

const std::vector<KeySpec>& measured_host_keys() {
  static const std::vector<KeySpec> keys = keys_of_host(true);
  return keys;
}

HostStated read_host_stated(Section section) {
  HostStated host;
  const auto time = between(Duration{0}, kLongest);
  if (section.has("eager_layer")) {
    host.eager_layer = section.required<Duration>("eager_layer", time);
  }
  if (section.has("eager_step")) host.eager_step = section.required<Duration>("eager_step", time);
  if (section.has("graph_step")) host.graph_step = section.required<Duration>("graph_step", time);
  if (section.has("prompt_token")) {
    host.prompt_token = section.required<Duration>("prompt_token", time);
  }
  if (section.has("overlapped")) host.overlapped = section.optional<bool>("overlapped", false);
  if (section.has("graph_max_batch")) {
    host.graph_max_batch =
        section.required<std::int64_t>("graph_max_batch", between<std::int64_t>(0, kBatchMax));
  }
  if (section.has("graph_sizes")) host.graph_sizes = sizes_at(section, "graph_sizes", "all");
  if (section.has("eager_sizes")) host.eager_sizes = sizes_at(section, "eager_sizes", "all");
  section.reject_unknown();
  return host;
}

HostCost read_host(Section section, const HostStated& defaults, Duration graph_step) {
  HostCost host;
  const auto time = between(Duration{0}, kLongest);
  host.eager_layer =
      section.optional<Duration>("eager_layer", defaults.eager_layer.value_or(Duration{0}), time);
  host.eager_step =
      section.optional<Duration>("eager_step", defaults.eager_step.value_or(Duration{0}), time);
  host.graph_step =
      section.optional<Duration>("graph_step", defaults.graph_step.value_or(graph_step), time);
  host.prompt_token =
      section.optional<Duration>("prompt_token", defaults.prompt_token.value_or(Duration{0}), time);
  host.overlapped = section.optional<bool>("overlapped", defaults.overlapped.value_or(false));
  host.graph_max_batch = section.optional<std::int64_t>(
      "graph_max_batch", defaults.graph_max_batch.value_or(kBatchMax),
      between<std::int64_t>(0, kBatchMax));
  host.graph_sizes =
      sizes_at(section, "graph_sizes",
               graph_sizes_text(defaults.graph_sizes.value_or(std::vector<GraphSizes>{})))
          .value_or(std::vector<GraphSizes>{});
  if (section.has("eager_sizes") || defaults.eager_sizes) {
    host.eager_sizes =
        sizes_at(section, "eager_sizes",
                 graph_sizes_text(defaults.eager_sizes.value_or(std::vector<GraphSizes>{})))
            .value_or(std::vector<GraphSizes>{});
  }
  section.reject_unknown();
  return host;
}

HostCost read_measured_host(Section section) {
  HostCost host;
  const auto time = between(Duration{0}, kLongest);
  host.eager_layer = section.required<Duration>("eager_layer", time);
  host.eager_step = section.required<Duration>("eager_step", time);
  host.graph_step = section.required<Duration>("graph_step", time);
  host.prompt_token = section.optional<Duration>("prompt_token", Duration{0}, time);
  host.overlapped = section.optional<bool>("overlapped", false);
  const auto text = section.required<std::string>("graph_sizes");
  if (const auto sizes = parse_graph_sizes(text)) {
    host.graph_sizes = *sizes;
  } else if (section.has("graph_sizes")) {
    section.error(
        "graph_sizes",
        "expected ascending ranges first-last:step such as 1-8:1 10-32:2, got " + shown(text));
  }
  host.graph_max_batch = section.optional<std::int64_t>(
      "graph_max_batch", host.graph_sizes.empty() ? 0 : host.graph_sizes.back().last,
      between<std::int64_t>(0, kBatchMax));
  if (section.has("eager_sizes")) {
    host.eager_sizes = sizes_at(section, "eager_sizes", "all").value_or(std::vector<GraphSizes>{});
  }
  section.reject_unknown();
  return host;
}

HostStated stated(const HostCost& host) {
  HostStated out{host.eager_layer, host.eager_step,      host.graph_step,  host.prompt_token,
                 host.overlapped,  host.graph_max_batch, host.graph_sizes, {}};
  if (!host.eager_sizes.empty()) out.eager_sizes = host.eager_sizes;
  return out;
}

std::string host_text(const HostCost& host, const std::string& indent) {
  std::string out;
  const auto line = [&](const std::string& key, const std::string& value) {
    out += indent + key + ": " + value + '\n';
  };
  line("eager_layer", value_text(host.eager_layer));
  line("eager_step", value_text(host.eager_step));
  line("graph_step", value_text(host.graph_step));
  line("prompt_token", value_text(host.prompt_token));
  line("overlapped", value_text(host.overlapped));
  line("graph_max_batch", value_text(host.graph_max_batch));
  line("graph_sizes", yaml_scalar(graph_sizes_text(host.graph_sizes)));
  if (!host.eager_sizes.empty()) {
    line("eager_sizes", yaml_scalar(graph_sizes_text(host.eager_sizes)));
  }
  return out;
}

}  // namespace v4cap
