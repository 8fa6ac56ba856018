// Fresh random operands, made on the device: the same seed gives the same bits on every GPU.
#pragma once

#include <cstdint>

#include "exec/device.h"
#include "kernels/formats/numbers.h"

namespace v4cap::exec {

// Normal numbers times `scale`, around `mean`.
void fill_normal(Buffer<float>& buffer, std::uint64_t seed, float scale, float mean = 0);
void fill_normal(Buffer<kernels::Bf16>& buffer, std::uint64_t seed, float scale, float mean = 0);
// Codes of normal numbers times `scale`, as e4m3: with 100 nearly the whole range is used.
void fill_e4m3(Buffer<std::uint8_t>& buffer, std::uint64_t seed, float scale);
// Any byte (two e2m1 codes), or one of [low, high] (UE8M0 exponents).
void fill_bytes(Buffer<std::uint8_t>& buffer, std::uint64_t seed, int low = 0, int high = 255);
// Powers of two from 2^low to 2^high: expanded UE8M0 scales.
void fill_powers_of_two(Buffer<float>& buffer, std::uint64_t seed, int low, int high);
// Integers of [low, high].
void fill_integers(Buffer<std::int32_t>& buffer, std::uint64_t seed, std::int32_t low,
                   std::int32_t high);
// KV pages of `page_entries` entries: normal codes, exponents around 2^scale_exponent, bf16 tails.
void fill_kv_pages(Buffer<std::uint8_t>& buffer, std::int64_t page_bytes, int page_entries,
                   std::uint64_t seed, int scale_exponent);
// Indexer key pages, FP8: normal codes with power-of-two scales; FP4: any codes, exponents near 1.
void fill_fp8_key_pages(Buffer<std::uint8_t>& buffer, std::uint64_t seed);
void fill_fp4_key_pages(Buffer<std::uint8_t>& buffer, std::uint64_t seed);

}  // namespace v4cap::exec
