#include "sim/app/serving_constants.h"

#include "sim/config/data_files.h"
#include "sim/config/section.h"
#include "sim/core/text_file.h"

namespace v4cap {

namespace {

constexpr const char* kFile = "serving_cases.yaml";

// The entries of the list under `key`, each a document of its own.
template <class Read>
void each(const YamlNode& root, const std::string& key, const std::string& file, Read read) {
  const YamlNode* list = root.find(key);
  if (list == nullptr || list->kind != YamlNode::Kind::list) {
    throw InputError(list == nullptr ? root.place : list->place, key + ": expected a list");
  }
  for (const YamlNode& node : list->children) {
    Document document(node, file);
    Section section = document.root();
    read(section);
    section.reject_unknown();
    document.checkpoint();
  }
}

}  // namespace

ServingConstants load_serving_constants() {
  ServingConstants out;
  out.file = find_single_file(kFile);
  const YamlNode root = parse_yaml(read_text_file(out.file), out.file);
  each(root, "acceptance", out.file, [&](Section& s) {
    out.acceptance.push_back({s.required<std::string>("model"), s.required<std::string>("strategy"),
                              s.required<double>("length", between(1.0, 65.0))});
  });
  each(root, "weights", out.file, [&](Section& s) {
    ServingConstants::Weights weights{s.required<std::string>("name"), {}};
    if (s.has("expert_bytes")) {
      weights.expert_bytes = s.required<double>("expert_bytes", above_up_to(0.0, 4.0));
    }
    out.weights.push_back(weights);
  });
  each(root, "versions", out.file, [&](Section& s) {
    out.versions.push_back({s.required<std::string>("name"), s.required<std::string>("means")});
  });
  Document document(root, out.file);
  Section section = document.root();
  out.expert_parallel = section.required_list<std::string>("expert_parallel");
  out.warmup_requests =
      section.required<std::int64_t>("warmup_requests", between<std::int64_t>(0, 100'000));
  for (const char* list : {"acceptance", "weights", "versions"}) section.node(list);
  section.reject_unknown();
  document.checkpoint();
  return out;
}

}  // namespace v4cap
