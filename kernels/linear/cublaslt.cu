#include "kernels/linear/cublaslt.h"

#include <map>
#include <mutex>
#include <tuple>

#include "kernels/cuda/check.h"
#include "kernels/linear/launch.h"
#include "kernels/linear/linear.h"

namespace v4cap::kernels::linear {
namespace {

void lt_check(cublasStatus_t status, int line, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    cuda_failed(__FILE__, line, call, cublasLtGetStatusString(status));
  }
}
#define V4CAP_LT(call) lt_check((call), __LINE__, #call)

struct Descriptors {
  cublasLtMatmulDescOpaque_t operation;
  cublasLtMatrixLayoutOpaque_t w, x, y;
};

template <class T>
void set(cublasLtMatmulDescOpaque_t& operation, cublasLtMatmulDescAttributes_t attribute,
         const T& value) {
  V4CAP_LT(cublasLtMatmulDescSetAttribute(&operation, attribute, &value, sizeof value));
}

Descriptors describe(const LtProduct& p) {
  Descriptors d;
  V4CAP_LT(cublasLtMatmulDescInit(&d.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  set(d.operation, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  if (p.x_scales != nullptr) {
    set(d.operation, CUBLASLT_MATMUL_DESC_A_SCALE_MODE,
        std::int32_t{CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F});
    set(d.operation, CUBLASLT_MATMUL_DESC_B_SCALE_MODE,
        std::int32_t{CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F});
    set(d.operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, p.w_scales);
    set(d.operation, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, p.x_scales);
  }
  if (p.x_mx_scales != nullptr) {
    const std::int32_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0;
    set(d.operation, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode);
    set(d.operation, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode);
    set(d.operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, p.w_mx_scales);
    set(d.operation, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, p.x_mx_scales);
  }
  const auto size = [](int n) { return static_cast<std::uint64_t>(n); };
  V4CAP_LT(cublasLtMatrixLayoutInit(&d.w, p.operand, size(p.in), size(p.out), p.in));
  V4CAP_LT(cublasLtMatrixLayoutInit(&d.x, p.operand, size(p.in), size(p.rows), p.x_stride));
  V4CAP_LT(cublasLtMatrixLayoutInit(&d.y, p.result, size(p.out), size(p.rows), p.y_stride));
  return d;
}

cublasLtHandle_t handle() {
  static const cublasLtHandle_t lasting = [] {
    cublasLtHandle_t created = nullptr;
    V4CAP_LT(cublasLtCreate(&created));
    return created;
  }();
  return lasting;
}

cublasLtMatmulAlgo_t choose(const LtProduct& p, Descriptors& d) {
  cublasLtMatmulPreferenceOpaque_t preference;
  V4CAP_LT(cublasLtMatmulPreferenceInit(&preference));
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    V4CAP_LT(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kLtWorkspaceBytes);
  constexpr std::uint32_t kAligned = 16;  // what all our operands have
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, kAligned);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, kAligned);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, kAligned);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, kAligned);
  cublasLtMatmulHeuristicResult_t choice{};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle(), &d.operation, &d.w, &d.x, &d.y, &d.y, &preference, 1, &choice, &found);
  if (status != CUBLAS_STATUS_SUCCESS || found == 0) {
    cuda_failed(__FILE__, __LINE__, "cublasLtMatmulAlgoGetHeuristic",
                "no kernel for " + std::to_string(p.rows) + " rows, " + std::to_string(p.out) +
                    " x " + std::to_string(p.in) +
                    (p.operand == CUDA_R_8F_E4M3 ? " FP8" : " BF16") + ": " +
                    cublasLtGetStatusString(status));
  }
  return choice.algo;
}

}  // namespace

void launch_lt(const LtProduct& p, void* workspace, Stream stream) {
  if (p.rows == 0) return;
  using Key = std::tuple<int, int, int, std::int64_t, std::int64_t, int, int, bool>;
  static std::mutex mutex;
  static std::map<Key, cublasLtMatmulAlgo_t> choices;
  Descriptors d = describe(p);
  cublasLtMatmulAlgo_t algorithm;
  {
    const Key key{p.rows,
                  p.in,
                  p.out,
                  p.x_stride,
                  p.y_stride,
                  static_cast<int>(p.operand),
                  static_cast<int>(p.result),
                  p.x_mx_scales != nullptr};
    const std::lock_guard<std::mutex> lock(mutex);
    auto known = choices.find(key);
    if (known == choices.end()) known = choices.emplace(key, choose(p, d)).first;
    algorithm = known->second;
  }
  const float alpha = 1, beta = 0;
  V4CAP_LT(cublasLtMatmul(handle(), &d.operation, &alpha, p.w, &d.w, p.x, &d.x, &beta, p.y, &d.y,
                          p.y, &d.y, &algorithm, workspace, kLtWorkspaceBytes, stream));
}

namespace {

// BF16, on every GPU.
std::string refuses(const Bf16Args& args) {
  const std::string refusal = refuses_operands(args);
  if (!refusal.empty()) return refusal;
  if (args.y_stride % 8 != 0) return "rows of y are not 16-byte aligned";
  return "";
}

void launch(const Bf16Args& args, void* workspace, Stream stream) {
  launch_lt({.operand = CUDA_R_16BF,
             .result = args.output == Output::bf16 ? CUDA_R_16BF : CUDA_R_32F,
             .rows = args.rows,
             .in = args.in,
             .out = args.out,
             .x_stride = args.x_stride,
             .y_stride = args.y_stride,
             .x = args.x,
             .w = args.w,
             .y = args.y},
            workspace, stream);
}

const Register<Bf16Args> kVersion{
    {.name = "cublaslt",
     .preference = 10,
     .idea = "the library's first choice",
     .refuses = refuses,
     .workspace_bytes = [](const Bf16Args&) { return kLtWorkspaceBytes; },
     .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::linear
