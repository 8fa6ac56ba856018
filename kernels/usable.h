// Which versions of operators a result may rest on. Check and bench run all of them; layers and
// calibrations only these.
#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <typeinfo>

#include "kernels/registry.h"

namespace v4cap::kernels {

// "topk::Args/portable": names a version among those of all operators.
template <class Args>
std::string version_id(std::string_view version) {
  const std::unique_ptr<char, void (*)(void*)> type{
      abi::__cxa_demangle(typeid(Args).name(), nullptr, nullptr, nullptr), std::free};
  std::string name = type != nullptr ? type.get() : typeid(Args).name();
  constexpr std::string_view kOurs = "v4cap::kernels::";
  if (name.starts_with(kOurs)) name.erase(0, kOurs.size());
  return name + '/' + std::string(version);
}

// Ids of the versions that passed `check` on this GPU, when somebody has asked; nothing until then.
inline std::optional<std::set<std::string>>& passed_versions() {
  static std::optional<std::set<std::string>> ids;
  return ids;
}

// Whether a result may rest on this version: one that passed on this GPU, or, where nobody has
// asked, one that has run on some GPU.
template <class Args>
bool usable(const Version<Args>& version) {
  const auto& passed = passed_versions();
  return passed ? passed->contains(version_id<Args>(version.name)) : !version.never_run;
}

}  // namespace v4cap::kernels
