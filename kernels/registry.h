// The versions of an operator. A version is one .cu file that registers itself:
//
//   const Register<Args> kPortable{{.name = "portable", .target = Target::portable, ...}};
//
// Its `refuses` and `workspace_bytes` look at shapes only, so that they can be tested without a
// GPU. Callers walk `versions()`: check and bench all of them, a layer the first that takes its
// arguments.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct CUstream_st;

namespace v4cap::kernels {

using Stream = CUstream_st*;  // cudaStream_t, without CUDA's headers

// What a version needs. `portable` uses no architecture-specific instruction and runs on every
// data-centre GPU of compute capability 9.0 and up (227 KB of shared memory for a block), by PTX
// where no machine code was built for it.
enum class Target : std::uint8_t { portable, sm90a, sm100a };

constexpr std::string_view to_string(Target target) {
  switch (target) {
    case Target::portable:
      return "portable";
    case Target::sm90a:
      return "sm_90a";
    case Target::sm100a:
      return "sm_100a";
  }
  return "";
}

// Whether a GPU of this compute capability runs code built for `target`.
constexpr bool runs_on(Target target, int major, int minor) {
  switch (target) {
    case Target::portable:
      return major >= 9;
    case Target::sm90a:
      return major == 9 && minor == 0;
    case Target::sm100a:
      return major == 10 && minor == 0;
  }
  return false;
}

template <class Args>
struct Version {
  std::string_view name;
  Target target = Target::portable;
  int preference = 0;          // the largest one that takes the arguments is used
  bool never_run = false;      // compiled, but no GPU it needs was at hand
  std::string_view idea = {};  // one line: what makes it different

  // Why these arguments are not taken ("" when they are). Shapes only. May be null: takes all.
  std::string (*refuses)(const Args&) = nullptr;
  // Scratch memory of one launch. May be null: none.
  std::size_t (*workspace_bytes)(const Args&) = nullptr;
  // Queues the work on a stream. Throws CudaError. `workspace` is 256-byte aligned.
  void (*launch)(const Args&, void* workspace, Stream) = nullptr;
};

template <class Args>
std::vector<Version<Args>>& registered_versions() {
  static std::vector<Version<Args>> versions;
  return versions;
}

// All versions, the preferred first; ties by name, so that the order does not depend on linking.
template <class Args>
std::vector<Version<Args>> versions() {
  auto all = registered_versions<Args>();
  std::sort(all.begin(), all.end(), [](const Version<Args>& a, const Version<Args>& b) {
    return a.preference != b.preference ? a.preference > b.preference : a.name < b.name;
  });
  return all;
}

// Names of all versions of all operators, with repeats.
inline std::vector<std::string_view>& registered_names() {
  static std::vector<std::string_view> names;
  return names;
}

template <class Args>
struct Register {
  explicit Register(const Version<Args>& version) {
    registered_versions<Args>().push_back(version);
    registered_names().push_back(version.name);
  }
};

}  // namespace v4cap::kernels
