// The source of the experts for sm_100a against their reference, on the model of a Blackwell block.
#include "kernels/experts/sm100a_mxfp4.cu"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

namespace v4cap::kernels::experts {
namespace {

class Bytes {
 public:
  // Random bytes from `low` to `high`, 32-byte aligned.
  Bytes(std::size_t count, int low, int high, std::mt19937& random) : blocks_(count / 32 + 1) {
    for (std::size_t i = 0; i < count; ++i) {
      data()[i] = static_cast<std::uint8_t>(low + static_cast<int>(random() % (high - low + 1)));
    }
  }
  std::uint8_t* data() { return blocks_[0].bytes; }

 private:
  struct alignas(32) Piece {
    std::uint8_t bytes[32];
  };
  std::vector<Piece> blocks_;
};

// FP8 rows with scales that differ from row to row and from block to block.
struct Rows {
  Rows(int rows, int width, std::mt19937& random)
      : codes(static_cast<std::size_t>(rows) * width, 0, 0x7e, random),
        stride(scale_stride_for(rows)),
        scales(static_cast<std::size_t>(width / 128 * stride)) {
    for (int i = 0; i < rows * width; ++i) codes.data()[i] |= random() % 2 == 0 ? 0x80 : 0;
    for (float& s : scales) s = ue8m0_to_float(static_cast<std::uint8_t>(118 + random() % 6));
  }
  Fp8Rows rows() { return {codes.data(), scales.data(), stride}; }
  Bytes codes;
  std::int64_t stride;
  std::vector<float> scales;
};

struct Weights {
  Weights(int experts, int out, int in, std::mt19937& random)
      : codes(static_cast<std::size_t>(experts) * out * in / 2, 0, 255, random),
        scales(static_cast<std::size_t>(experts) * out * in / 32, 114, 124, random) {}
  Fp4Weights weights() { return {codes.data(), scales.data()}; }
  Bytes codes, scales;
};

// Experts without rows, with few, with two tiles of rows.
constexpr int kExperts = 4, kHidden = 512, kIntermediate = 256, kRows = 0 + 5 + 130 + 17;
constexpr std::int32_t kOffsets[kExperts + 1] = {0, 0, 5, 135, 152};

// Root of the squared errors of a row over that of its squares, the worst of all rows.
double worst_row(const std::vector<double>& got, const std::vector<double>& expected, int width) {
  double worst = 0;
  for (std::size_t row = 0; row < got.size() / static_cast<std::size_t>(width); ++row) {
    double error = 0, size = 0;
    for (std::size_t i = row * width; i < (row + 1) * width; ++i) {
      error += (got[i] - expected[i]) * (got[i] - expected[i]);
      size += expected[i] * expected[i];
    }
    worst = std::max(worst, std::isfinite(error) ? std::sqrt(error / size) : 1e30);
  }
  return worst;
}

TEST_CASE("sm100a model: gate and up of the experts are as in the reference") {
  std::mt19937 random(1);
  constexpr int kTokenRows = 50;
  Rows x(kTokenRows, kHidden, random), a(kRows, kIntermediate, random);
  Weights w13(kExperts, 2 * kIntermediate, kHidden, random);
  std::vector<std::int32_t> row_token(kRows);
  std::vector<float> row_weight(kRows);
  for (int i = 0; i < kRows; ++i) {
    row_token[i] = static_cast<std::int32_t>(random() % kTokenRows);
    row_weight[i] = 0.25f + static_cast<float>(random() % 100) / 100;
  }
  const GateUpArgs args{.experts = kExperts,
                        .hidden = kHidden,
                        .intermediate = kIntermediate,
                        .max_rows = kRows + 3,
                        .tokens = kTokenRows,
                        .x = x.rows(),
                        .w13 = w13.weights(),
                        .offsets = kOffsets,
                        .row_token = row_token.data(),
                        .row_weight = row_weight.data(),
                        .a = a.rows()};
  REQUIRE(refuses(args).empty());
  launch_gate_up(args, nullptr, nullptr);
  std::vector<double> got;
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kIntermediate; ++c) {
      got.push_back(static_cast<double>(e4m3_to_float(a.codes.data()[r * kIntermediate + c])) *
                    static_cast<double>(a.scales[c / 128 * a.stride + r]));
    }
  }
  CHECK(worst_row(got, reference(args).dequantised, kIntermediate) < 1e-2);
}

TEST_CASE("sm100a model: the experts' last product is as in the reference") {
  std::mt19937 random(2);
  Rows a(kRows, kIntermediate, random);
  Weights w2(kExperts, kHidden, kIntermediate, random);
  std::vector<Bf16> y(static_cast<std::size_t>(kRows) * kHidden, Bf16{0x7fc0});
  const DownArgs args{.experts = kExperts,
                      .hidden = kHidden,
                      .intermediate = kIntermediate,
                      .max_rows = kRows + 3,
                      .a = a.rows(),
                      .w2 = w2.weights(),
                      .offsets = kOffsets,
                      .y = y.data()};
  REQUIRE(refuses(args).empty());
  launch_down(args, nullptr, nullptr);
  std::vector<double> got;
  for (const Bf16 value : y) got.push_back(static_cast<double>(to_float(value)));
  CHECK(worst_row(got, reference(args), kHidden) < 3e-3);
}

}  // namespace
}  // namespace v4cap::kernels::experts
