#include "sim/plan/prices.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "sim/config/data_files.h"
#include "sim/config/section.h"

namespace v4cap {

namespace {

namespace fs = std::filesystem;

constexpr double kPriceMax = 1e6;

// Price tables lie beside models and profiles.
std::vector<fs::path> price_folders(const std::string& dir) {
  std::vector<fs::path> folders;
  for (const std::string& models : data_folders(DataKind::model, dir)) {
    folders.push_back(fs::path(models).parent_path() / "prices");
  }
  return folders;
}

std::string find_prices(const std::string& name, const std::string& dir, const Place& place) {
  std::error_code ignored;
  if (name.find('/') != std::string::npos || name.ends_with(".yaml")) {
    const fs::path path = fs::path(dir) / name;
    if (fs::is_regular_file(path, ignored)) return path.string();
    throw InputError(place,
                     "prices: expected a price table, found no file " + shown(path.string()));
  }
  std::vector<std::string> known;
  for (const fs::path& folder : price_folders(dir)) {
    const fs::path path = folder / (name + ".yaml");
    if (fs::is_regular_file(path, ignored)) return path.string();
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (entry.path().extension() == ".yaml") known.push_back(entry.path().stem().string());
    }
  }
  std::ranges::sort(known);
  throw InputError(place, "prices: unknown price table " + shown(name) + suggestion(name, known));
}

}  // namespace

PriceTable load_prices(const std::string& name, const std::string& dir, const Place& place) {
  PriceTable table;
  table.file = find_prices(name, dir, place);
  Document document(parse_yaml(read_text_file(table.file), table.file), table.file);
  Section top = document.root();
  const auto price = between(0.0, kPriceMax);
  table.name = top.required<std::string>("name");
  table.date = top.required<std::string>("date");
  table.currency = top.required<std::string>("currency");
  std::vector<std::string> gpus;
  if (const YamlNode* node = top.node("gpu_hour"); node != nullptr) {
    for (const YamlNode& entry : node->children) gpus.push_back(entry.key);
  }
  Section hours = top.child("gpu_hour", true);
  for (const std::string& gpu : gpus) {
    Section one = hours.child(gpu, true);
    table.gpu_hour[gpu] = {one.required<double>("price", above_up_to(0.0, kPriceMax)),
                           one.required<std::string>("source")};
    one.reject_unknown();
  }
  hours.reject_unknown();
  if (top.has("tokens")) {
    Section tokens = top.child("tokens");
    table.tokens = TokenPrices{
        tokens.required<double>("input", price), tokens.required<double>("cached", price),
        tokens.required<double>("output", price), tokens.required<std::string>("source")};
    tokens.reject_unknown();
  }
  top.reject_unknown();
  document.checkpoint();
  return table;
}

const GpuPrice& price_of(const PriceTable& table, const std::string& gpu, const Place& place) {
  const auto found = table.gpu_hour.find(gpu);
  if (found != table.gpu_hour.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [name, price] : table.gpu_hour) known.push_back(name);
  throw InputError(
      place, "prices: table " + table.name + " has no price for a " + gpu + suggestion(gpu, known));
}

}  // namespace v4cap
