// Plays beats through a design, block by block from standard input; the results go to standard output.
//
// Arguments: idle cycles after which a block ends, and of each input stream the bytes of its words' slots. A block is
// four 64-bit numbers (whether to start from reset, cycles with a chosen ready, most results, whether pauses follow)
// and each stream's number of beats; then each stream's words and, if pauses follow, a 32-bit pause before each beat;
// and a byte for each of those cycles: whether results are taken; later ones always are. A block ends when nothing has
// moved for the idle cycles, or with a result too many. Its answer is four 64-bit numbers (results, cycles, whether a
// waiting result changed, microseconds of CPU) and the beats of each stream accepted, the words of the results, and for
// each result how many beats of each stream had been accepted since the reset.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "Vplayback.h"

namespace {

struct Request {
    uint64_t fresh, cycles, most, pausing;
};

struct Answer {
    uint64_t results, cycles, unstable, microseconds;
};

struct Stream {
    size_t slot;    // bytes
    size_t offset;  // of the slot among all
    uint64_t beats, sent, total;
    uint32_t pause;
    std::vector<uint8_t> words;
    std::vector<uint32_t> pauses;

    bool offers() const { return sent < beats && pause == 0; }
    void pause_before_next(bool pausing) { pause = pausing && sent < beats ? pauses[sent] : 0; }
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

int main(int count, char** arguments) {
    const uint64_t idle_cycles = std::strtoull(arguments[1], nullptr, 10);
    std::vector<Stream> streams;
    size_t offset = 0;
    for (int i = 2; i < count; ++i) {
        Stream stream{};
        stream.slot = std::strtoull(arguments[i], nullptr, 10);
        stream.offset = offset;
        offset += stream.slot;
        streams.push_back(stream);
    }
    std::unique_ptr<Bench> bench;
    std::vector<uint8_t> taking, results;
    std::vector<uint64_t> sent_before;
    Request ask;
    while (std::fread(&ask, sizeof ask, 1, stdin) == 1) {
        for (Stream& stream : streams)
            if (std::fread(&stream.beats, sizeof stream.beats, 1, stdin) != 1) return 2;
        for (Stream& stream : streams) {
            if (!read(stream.words, stream.beats * stream.slot)) return 2;
            if (!read(stream.pauses, ask.pausing ? stream.beats : 0)) return 2;
            stream.sent = 0;
            stream.pause_before_next(ask.pausing);
            if (ask.fresh || !bench) stream.total = 0;
        }
        if (!read(taking, ask.cycles)) return 2;
        if (ask.fresh || !bench) bench = std::make_unique<Bench>();
        Vplayback& dut = bench->dut;
        constexpr size_t out = sizeof(dut.result);
        results.clear();
        sent_before.clear();
        Answer answer{};
        const std::clock_t start = std::clock();
        uint8_t waiting[out];
        bool waits = false;
        for (uint64_t idle = 0; idle < idle_cycles && answer.results <= ask.most; ++answer.cycles) {
            unsigned valid = 0;
            for (size_t i = 0; i < streams.size(); ++i) {
                const Stream& stream = streams[i];
                valid |= stream.offers() << i;
                if (stream.sent < stream.beats)
                    std::memcpy(reinterpret_cast<uint8_t*>(&dut.words) + stream.offset,
                                &stream.words[stream.sent * stream.slot], stream.slot);
            }
            dut.valid = valid;
            dut.ready = answer.cycles < ask.cycles ? taking[answer.cycles] : 1;
            bench->clock();
            const bool given = dut.out_valid && dut.ready;
            if (waits && (!dut.out_valid || std::memcmp(waiting, &dut.result, out))) answer.unstable = 1;
            waits = dut.out_valid && !dut.ready;
            if (waits) std::memcpy(waiting, &dut.result, out);
            if (given) {
                const size_t end = results.size();
                results.resize(end + out);
                std::memcpy(&results[end], &dut.result, out);
                for (const Stream& stream : streams) sent_before.push_back(stream.total);
                ++answer.results;
            }
            bool moved = given || answer.cycles < ask.cycles;
            for (size_t i = 0; i < streams.size(); ++i) {
                Stream& stream = streams[i];
                const bool accepted = (valid & dut.accepts) >> i & 1;
                moved |= accepted || stream.pause;
                if (accepted) {
                    ++stream.sent;
                    ++stream.total;
                    stream.pause_before_next(ask.pausing);
                } else if (stream.pause) {
                    --stream.pause;
                }
            }
            idle = moved ? 0 : idle + 1;
        }
        answer.microseconds = (std::clock() - start) * 1000000 / CLOCKS_PER_SEC;
        std::fwrite(&answer, sizeof answer, 1, stdout);
        for (const Stream& stream : streams) std::fwrite(&stream.sent, sizeof stream.sent, 1, stdout);
        write(results);
        write(sent_before);
        std::fflush(stdout);
    }
}
