// The quantizer's passes over rows of float32, [rows, length], in vectors of so many elements; the last one of a row
// may be shorter. Each is the same IEEE operations as the quantizer's, one by one: no product is followed by a sum.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

#define INLINE __attribute__((always_inline)) inline

namespace {

constexpr int64_t FEW = 1 << 15;  // elements, up to which one thread is the fastest
constexpr int64_t STRETCH = 64;   // vectors of a row, at most, that are worked on at a time

struct Rows {
    int64_t rows, length, size;
    int threads;
};

struct Element {
    float least, most;
    int mantissa;  // bits; negative for integers

    INLINE float nearest(float x) const {
        if (mantissa < 0) return clipped(std::rint(x));
        const float size = std::min(std::max(std::fabs(x), float(1 << mantissa)), most);
        uint32_t bits;
        std::memcpy(&bits, &size, sizeof bits);
        bits = (bits & 0x7f800000) - (uint32_t(mantissa) << 23);
        float step;
        std::memcpy(&step, &bits, sizeof step);
        return clipped(std::rint(x / step) * step);
    }

    INLINE float clipped(float x) const { return std::min(std::max(x, least), most); }
};

struct Scales {
    int64_t sharing;  // rows of one gamma
    float most;       // 0 without scales
    int ceil, at_least_one, paper;
};

// Vectors of one row, of `size` elements, which is SIZE unless that is 0; the last one ends with the row.
template <int SIZE>
struct Stretch {
    int64_t count, given;
    INLINE int64_t size() const { return SIZE ? SIZE : given; }
    INLINE int64_t vectors() const { return (count + size() - 1) / size(); }

    // Calls work(vector, first element, elements) for each.
    template <class Work>
    INLINE void each(const Work& work) const {
        const int64_t whole = count / size();
        for (int64_t i = 0; i < whole; ++i) work(i, i * size(), size());
        if (count % size()) work(whole, whole * size(), count % size());
    }

    // The largest magnitudes; NaN where there is one, as its bits are above all others'.
    INLINE void peaks(const float* x, float* out) const {
        each([=](int64_t i, int64_t begin, int64_t length) __attribute__((always_inline)) {
            uint32_t largest = 0;
            for (int64_t j = begin; j < begin + length; ++j) {
                uint32_t bits;
                std::memcpy(&bits, x + j, sizeof bits);
                largest = std::max(largest, bits & 0x7fffffff);
            }
            std::memcpy(out + i, &largest, sizeof largest);
        });
    }

    INLINE void codes(Element element, const float* x, const float* divisor, int32_t* out) const {
        each([=](int64_t i, int64_t begin, int64_t length) __attribute__((always_inline)) {
            const Element kept = element;  // which no store changes
            const float by = divisor[i];
            for (int64_t j = begin; j < begin + length; ++j) out[j] = int32_t(kept.nearest(x[j] / by));
        });
        for (int64_t j = count; j < vectors() * size(); ++j) out[j] = 0;
    }

    INLINE void reals(Element element, const float* x, const float* divisor, const float* step, float* out) const {
        each([=](int64_t i, int64_t begin, int64_t length) __attribute__((always_inline)) {
            const Element kept = element;
            const float by = divisor[i], unit = step[i];
            for (int64_t j = begin; j < begin + length; ++j) out[j] = kept.nearest(x[j] / by) * unit;
        });
    }
};

// Calls work(stretch, row, its first element, its first vector), both counted from the tensor's, for each stretch.
template <int SIZE, class Work>
void in_stretches(const Rows& z, const Work& work) {
    const int64_t size = SIZE ? SIZE : z.size, vectors = (z.length + size - 1) / size;
#pragma omp parallel for num_threads(z.threads) if (z.rows * z.length > FEW)
    for (int64_t row = 0; row < z.rows; ++row)
        for (int64_t i = 0; i < vectors; i += STRETCH)
            work(Stretch<SIZE>{std::min(z.length - i * size, STRETCH * size), size}, row, row * z.length + i * size,
                 row * vectors + i);
}

template <class Work>
void each_stretch(const Rows& z, const Work& work) {
    if (z.size == 16) return in_stretches<16>(z, work);
    if (z.size == 32) return in_stretches<32>(z, work);
    in_stretches<0>(z, work);
}

// Work on an element whose kind is known, so that its operations need not ask.
template <class Work>
void of_kind(const Element& element, const Work& work) {
    if (element.mantissa < 0) return work(Element{element.least, element.most, -1});
    work(element);
}

// Steps and divisors of vectors by their peaks; returns whether all peaks are finite.
bool second_level(int64_t count, float qmax, const Scales& scales, float gamma, const float* peaks, float* step,
                  float* divisor) {
    const Scales kept = scales;
    const float unit = gamma > 0 ? gamma : INFINITY;
    int bad = 0;
    for (int64_t i = 0; i < count; ++i) {
        bad |= !(peaks[i] <= FLT_MAX);
        const float s = peaks[i] / qmax, ratio = s / unit;
        float sq = std::min(std::rint(kept.ceil ? std::ceil(ratio) : ratio), kept.most);
        sq = kept.at_least_one && sq == 0 && s > 0 ? 1 : sq;
        const float product = std::min(sq * gamma, FLT_MAX), one = kept.most > 0 ? product : gamma;
        const float by = kept.most > 0 && kept.paper ? s : one;
        step[i] = one;
        divisor[i] = by > 0 ? by : INFINITY;
    }
    return !bad;
}

}  // namespace

extern "C" {

void peaks(const Rows* z, const float* x, float* out) {
    each_stretch(*z, [=](auto stretch, int64_t, int64_t begin, int64_t vector) {
        stretch.peaks(x + begin, out + vector);
    });
}

// nearest(x / divisor), in vectors that are padded with zeros.
void codes(const Rows* z, const Element* element, const float* x, const float* divisor, int32_t* out) {
    of_kind(*element, [=](Element kept) __attribute__((always_inline)) {
        each_stretch(*z, [=](auto stretch, int64_t, int64_t begin, int64_t vector) {
            stretch.codes(kept, x + begin, divisor + vector, out + vector * stretch.size());
        });
    });
}

// nearest(x / divisor) * step
void reals(const Rows* z, const Element* element, const float* x, const float* divisor, const float* step, float* out) {
    of_kind(*element, [=](Element kept) __attribute__((always_inline)) {
        each_stretch(*z, [=](auto stretch, int64_t, int64_t begin, int64_t vector) {
            stretch.reals(kept, x + begin, divisor + vector, step + vector, out + begin);
        });
    });
}

// All at once, for integers with integer scales, or without any. Returns whether all was as it must be: finite, not
// negative in an unsigned format, and gammas neither negative nor infinite.
bool fake_quantize(const Rows* z, const Element* element, const Scales* scales, const float* x, const float* gamma,
                   float* out) {
    const Element kept = {element->least, element->most, -1};
    int bad = 0;
    each_stretch(*z, [=, &bad](auto stretch, int64_t row, int64_t begin, int64_t) {
        float peaks[STRETCH], divisor[STRETCH], step[STRETCH];
        const float unit = gamma[row / scales->sharing];
        stretch.peaks(x + begin, peaks);
        bool good = unit >= 0 && unit <= FLT_MAX;
        good &= second_level(stretch.vectors(), kept.most, *scales, unit, peaks, step, divisor);
        stretch.reals(kept, x + begin, divisor, step, out + begin);
        int negative = 0;
        if (kept.least == 0)
            for (int64_t j = 0; j < stretch.count; ++j) negative |= x[begin + j] < 0;
        if (!good || negative) {
#pragma omp atomic write
            bad = 1;
        }
    });
    return !bad;
}

}
