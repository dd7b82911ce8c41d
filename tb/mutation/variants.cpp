// Compares the pins of variants of a design with promised rows: pin_test ROWS VARIANTS, the file and how many.
//
// The file holds 32-bit words: how many rows, words of inputs and of outputs a row; then of each row the inputs, the
// outputs and which output bits are promised. Each variant starts from random registers; for each a line is printed:
// the cycle and the output bit of its first difference, or "-1 -1".
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vplayback.h"

int main(int argc, char** argv) {
    FILE* file = argc == 3 ? std::fopen(argv[1], "rb") : nullptr;
    uint32_t shape[3];
    if (!file || std::fread(shape, 4, 3, file) != 3) return 2;
    const uint32_t cycles = shape[0], ins = shape[1], outs = shape[2], stride = ins + 2 * outs;
    std::vector<uint32_t> rows(size_t(cycles) * stride);
    if (std::fread(rows.data(), 4, rows.size(), file) != rows.size()) return 2;

    const int variants = std::atoi(argv[2]);
    for (int variant = 0; variant < variants; ++variant) {
        VerilatedContext context;
        context.randReset(2);
        context.randSeed(variant + 1);
        Vplayback design{&context};
        design.variant = variant;
        long differs = -1, bit = -1;
        for (uint32_t cycle = 0; cycle < cycles && differs < 0; ++cycle) {
            const uint32_t* row = &rows[size_t(cycle) * stride];
            for (uint32_t i = 0; i < ins; ++i) design.inputs[i] = row[i];
            design.clk = 0;
            design.eval();
            for (uint32_t i = 0; i < outs && differs < 0; ++i) {
                const uint32_t wrong = (design.outputs[i] ^ row[ins + i]) & row[ins + outs + i];
                if (wrong) differs = cycle, bit = 32 * i + __builtin_ctz(wrong);
            }
            design.clk = 1;
            design.eval();
        }
        std::printf("%ld %ld\n", differs, bit);
    }
}
