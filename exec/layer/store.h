// Results of references, which are doubles, put into the places where an operator stores its own.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/formats/pages.h"
#include "kernels/linear/linear.h"

namespace v4cap::exec {

void store_bf16(const std::vector<double>& values, kernels::Bf16* to);
// Rows of `width`, `stride` apart.
void store_rows(const std::vector<double>& values, void* to, kernels::linear::Output output,
                std::int64_t rows, std::int64_t width, std::int64_t stride);

// Numbers that a quantiser has already rounded are quantised again: the scale may come out smaller,
// the numbers stay what they are.
void store_fp8(const std::vector<double>& values, const kernels::Fp8Rows& to, std::int64_t rows,
               std::int64_t width);
void store_fp8_codes(const double* values, int count, std::uint8_t* codes);
void store_fp4(const std::vector<double>& values, std::uint8_t* codes, std::uint8_t* scales);
void store_entry(const double* values, const kernels::KvPool& pool, std::int64_t page, int offset);
void store_key(const double* values, const kernels::KeyPool& pool, std::int64_t page, int offset);

}  // namespace v4cap::exec
