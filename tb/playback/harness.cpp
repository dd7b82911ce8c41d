// Plays beats through a vector MAC, block by block from standard input; the results go to standard output.
//
// A block is four 64-bit numbers (whether to start from reset, beats, whether pauses follow, cycles with a chosen
// ready), the words of the beats, a 32-bit pause before each beat, and a byte for each of those cycles: whether results
// are taken; later ones always are. A block ends when nothing has moved for a while, or with a result too many. Its
// answer is five 64-bit numbers (results, beats accepted, cycles, whether a waiting result changed, microseconds of
// CPU), the words of the results, and for each result how many beats had been accepted.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "Vplayback.h"

namespace {

constexpr uint64_t kIdleCycles = 64;

struct Request {
    uint64_t fresh, beats, pausing, cycles;
};

struct Answer {
    uint64_t results, sent, cycles, unstable, microseconds;
};

template <typename T>
bool read(std::vector<T>& values, size_t count) {
    values.resize(count);
    return std::fread(values.data(), sizeof(T), count, stdin) == count;
}

template <typename T>
void write(const std::vector<T>& values) {
    std::fwrite(values.data(), sizeof(T), values.size(), stdout);
}

// The inputs are registered in Verilog: they change after the clock edge, and the outputs read after it belong to them.
class Bench {
   public:
    Bench() : dut{&context_} {
        dut.rst = 1;
        clock();
        clock();
        dut.rst = 0;
    }

    void clock() {
        dut.clk = 0;
        dut.eval();
        dut.clk = 1;
        dut.eval();
    }

   private:
    VerilatedContext context_;

   public:
    Vplayback dut;
};

}  // namespace

int main() {
    std::unique_ptr<Bench> bench;
    std::vector<uint8_t> beats, taking, results;
    std::vector<uint32_t> pauses;
    std::vector<uint64_t> sent_before;
    Request ask;
    while (std::fread(&ask, sizeof ask, 1, stdin) == 1) {
        if (ask.fresh || !bench) bench = std::make_unique<Bench>();
        Vplayback& dut = bench->dut;
        constexpr size_t in = sizeof(dut.beat), out = sizeof(dut.result);
        if (!read(beats, ask.beats * in) || !read(pauses, ask.pausing ? ask.beats : 0) || !read(taking, ask.cycles))
            return 2;
        results.clear();
        sent_before.clear();
        Answer answer{};
        const std::clock_t start = std::clock();
        uint64_t& sent = answer.sent;
        uint32_t pause = ask.beats && ask.pausing ? pauses[0] : 0;
        uint8_t waiting[out];
        bool waits = false;
        for (uint64_t idle = 0; idle < kIdleCycles && sent_before.size() <= ask.beats; ++answer.cycles) {
            dut.valid = sent < ask.beats && pause == 0;
            dut.ready = answer.cycles < ask.cycles ? taking[answer.cycles] : 1;
            if (sent < ask.beats) std::memcpy(&dut.beat, &beats[sent * in], in);
            bench->clock();
            const bool accepted = dut.valid && dut.in_ready, given = dut.out_valid && dut.ready;
            if (waits && (!dut.out_valid || std::memcmp(waiting, &dut.result, out))) answer.unstable = 1;
            waits = dut.out_valid && !dut.ready;
            if (waits) std::memcpy(waiting, &dut.result, out);
            if (given) {
                const size_t end = results.size();
                results.resize(end + out);
                std::memcpy(&results[end], &dut.result, out);
                sent_before.push_back(sent);
            }
            if (accepted && ++sent < ask.beats && ask.pausing) pause = pauses[sent];
            idle = accepted || given || pause || answer.cycles < ask.cycles ? 0 : idle + 1;
            if (!accepted && pause) --pause;
        }
        answer.results = sent_before.size();
        answer.microseconds = (std::clock() - start) * 1000000 / CLOCKS_PER_SEC;
        std::fwrite(&answer, sizeof answer, 1, stdout);
        write(results);
        write(sent_before);
        std::fflush(stdout);
    }
}
