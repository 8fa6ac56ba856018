#include "exec/collectives/communicator.h"

#include <cstdlib>
#include <cstring>

#include "exec/driver/gpu_error.h"

#ifdef V4CAP_NCCL
#include <dlfcn.h>
#include <nccl.h>

namespace v4cap::exec {
namespace {

constexpr const char* kLibrary = "libnccl.so.2";

// The calls that are used, looked up once.
struct Nccl {
  void* library;
#define V4CAP_NCCL_CALL(name) decltype(&::nccl##name) name
  V4CAP_NCCL_CALL(GetVersion);
  V4CAP_NCCL_CALL(GetUniqueId);
  V4CAP_NCCL_CALL(CommInitRank);
  V4CAP_NCCL_CALL(CommAbort);
  V4CAP_NCCL_CALL(GetErrorString);
  V4CAP_NCCL_CALL(GetLastError);
  V4CAP_NCCL_CALL(AllReduce);
  V4CAP_NCCL_CALL(AllGather);
  V4CAP_NCCL_CALL(ReduceScatter);
  V4CAP_NCCL_CALL(Broadcast);
  V4CAP_NCCL_CALL(Send);
  V4CAP_NCCL_CALL(Recv);
  V4CAP_NCCL_CALL(GroupStart);
  V4CAP_NCCL_CALL(GroupEnd);
#undef V4CAP_NCCL_CALL

  Nccl() : library(dlopen(kLibrary, RTLD_NOW)) {
    if (library == nullptr) {
      throw RunError(std::string("collectives need ") + kLibrary + ": " + dlerror(),
                     error_kind::kNoNccl);
    }
    const auto find = [&](auto& call, const char* name) {
      call = reinterpret_cast<std::remove_reference_t<decltype(call)>>(dlsym(library, name));
      if (call == nullptr) {
        throw RunError(std::string(kLibrary) + " has no " + name + ": expected NCCL 2.7 or newer",
                       error_kind::kNoNccl);
      }
    };
    find(GetVersion, "ncclGetVersion");
    find(GetUniqueId, "ncclGetUniqueId");
    find(CommInitRank, "ncclCommInitRank");
    find(CommAbort, "ncclCommAbort");
    find(GetErrorString, "ncclGetErrorString");
    find(GetLastError, "ncclGetLastError");
    find(AllReduce, "ncclAllReduce");
    find(AllGather, "ncclAllGather");
    find(ReduceScatter, "ncclReduceScatter");
    find(Broadcast, "ncclBroadcast");
    find(Send, "ncclSend");
    find(Recv, "ncclRecv");
    find(GroupStart, "ncclGroupStart");
    find(GroupEnd, "ncclGroupEnd");
  }
};

const Nccl& nccl() {
  static const Nccl calls;
  return calls;
}

void check(ncclResult_t result, const char* call) {
  if (result == ncclSuccess) return;
  std::string message = std::string(call) + ": " + nccl().GetErrorString(result);
  if (const char* last = nccl().GetLastError(nullptr); last != nullptr && *last != '\0') {
    message += std::string(" (") + last + ")";
  }
  throw RunError(message, error_kind::kNccl);
}

ncclComm_t of(void* handle) {
  return static_cast<ncclComm_t>(handle);
}

cudaStream_t of(kernels::Stream stream) {
  return static_cast<cudaStream_t>(stream);
}

constexpr char kDigits[] = "0123456789abcdef";

}  // namespace

std::string Communicator::version() {
  int code = 0;
  check(nccl().GetVersion(&code), "ncclGetVersion");
  return std::to_string(code / 10000) + '.' + std::to_string(code / 100 % 100) + '.' +
         std::to_string(code % 100);
}

std::string Communicator::new_id() {
  ncclUniqueId id;
  check(nccl().GetUniqueId(&id), "ncclGetUniqueId");
  std::string text;
  for (const char c : id.internal) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Communicator::Communicator(const std::string& id, int rank, int ranks)
    : rank_(rank), ranks_(ranks) {
  ncclUniqueId bytes;
  constexpr std::size_t kBytes = sizeof bytes.internal;
  V4CAP_CHECK(id.size() == 2 * kBytes, "an id of " + std::to_string(id.size()) + " digits");
  for (std::size_t i = 0; i < kBytes; ++i) {
    bytes.internal[i] = static_cast<char>(std::stoi(id.substr(2 * i, 2), nullptr, 16));
  }
  // Multicast takes a GPU's neighbours with it when it fails, and registering the buffers of each
  // captured graph takes memory and time; whoever wants them says so.
  ::setenv("NCCL_NVLS_ENABLE", "0", 0);
  ::setenv("NCCL_GRAPH_REGISTER", "0", 0);
  ncclComm_t made = nullptr;
  check(nccl().CommInitRank(&made, ranks, bytes, rank), "ncclCommInitRank");
  handle_ = made;
}

// Not ncclCommDestroy, which waits for the other ranks.
Communicator::~Communicator() {
  nccl().CommAbort(of(handle_));
}

void Communicator::all_reduce(const void* in, void* out, std::size_t elements,
                              kernels::Stream stream) {
  check(nccl().AllReduce(in, out, elements, ncclBfloat16, ncclSum, of(handle_), of(stream)),
        "ncclAllReduce");
}

void Communicator::all_gather(const void* in, void* out, std::size_t bytes,
                              kernels::Stream stream) {
  check(nccl().AllGather(in, out, bytes, ncclInt8, of(handle_), of(stream)), "ncclAllGather");
}

void Communicator::reduce_scatter(const void* in, void* out, std::size_t elements,
                                  kernels::Stream stream) {
  check(nccl().ReduceScatter(in, out, elements, ncclBfloat16, ncclSum, of(handle_), of(stream)),
        "ncclReduceScatter");
}

void Communicator::exchange(const void* in, std::span<const std::size_t> to, void* out,
                            std::span<const std::size_t> from, kernels::Stream stream) {
  check(nccl().GroupStart(), "ncclGroupStart");
  std::size_t sent = 0, received = 0;
  for (int peer = 0; peer < ranks_; ++peer) {
    const auto p = static_cast<std::size_t>(peer);
    if (to[p] > 0) {
      check(nccl().Send(static_cast<const char*>(in) + sent, to[p], ncclInt8, peer, of(handle_),
                        of(stream)),
            "ncclSend");
    }
    if (from[p] > 0) {
      check(nccl().Recv(static_cast<char*>(out) + received, from[p], ncclInt8, peer, of(handle_),
                        of(stream)),
            "ncclRecv");
    }
    sent += to[p];
    received += from[p];
  }
  check(nccl().GroupEnd(), "ncclGroupEnd");
}

void Communicator::broadcast(std::int64_t* data, std::size_t count, kernels::Stream stream) {
  check(nccl().Broadcast(data, data, count, ncclInt64, 0, of(handle_), of(stream)),
        "ncclBroadcast");
}

void Communicator::all_reduce(double* data, std::size_t count, Reduction how,
                              kernels::Stream stream) {
  check(nccl().AllReduce(data, data, count, ncclFloat64, how == Reduction::sum ? ncclSum : ncclMax,
                         of(handle_), of(stream)),
        "ncclAllReduce");
}

}  // namespace v4cap::exec

#else

namespace v4cap::exec {
namespace {

[[noreturn]] void built_without() {
  throw RunError(
      "v4exec was built without NCCL: install its header (libnccl-dev, or of the CUDA toolkit) and "
      "configure again",
      error_kind::kNoNccl);
}

}  // namespace

std::string Communicator::version() {
  built_without();
}
std::string Communicator::new_id() {
  built_without();
}
Communicator::Communicator(const std::string&, int rank, int ranks) : rank_(rank), ranks_(ranks) {
  built_without();
}
Communicator::~Communicator() = default;
void Communicator::all_reduce(const void*, void*, std::size_t, kernels::Stream) {
  built_without();
}
void Communicator::all_gather(const void*, void*, std::size_t, kernels::Stream) {
  built_without();
}
void Communicator::reduce_scatter(const void*, void*, std::size_t, kernels::Stream) {
  built_without();
}
void Communicator::exchange(const void*, std::span<const std::size_t>, void*,
                            std::span<const std::size_t>, kernels::Stream) {
  built_without();
}
void Communicator::broadcast(std::int64_t*, std::size_t, kernels::Stream) {
  built_without();
}
void Communicator::all_reduce(double*, std::size_t, Reduction, kernels::Stream) {
  built_without();
}

}  // namespace v4cap::exec

#endif
