// Matrix products with rounded scale products, in float or in double:
//
//     out[m, n] = sum_g (sum_k a[m, g, k] * w[g, k, n]) * r
//     r = min(most, round(sa[m, g] * sw[g, n] * unit + offset))
//
// Round goes half to even. Every product and sum is exact, by the caller's choice of type and run, so that neither
// their order nor fused multiplications and additions change a bit. Outputs lie in the lanes of vector registers;
// weights are laid out in panels of so many outputs, padded with zeros.

#include <algorithm>
#include <cstdint>
#include <cstring>

#define UNROLL _Pragma("GCC unroll 32")

namespace {

#if defined(__AVX512F__)
constexpr int REGISTER = 64;  // bytes
#elif defined(__AVX__)
constexpr int REGISTER = 32;
#else
constexpr int REGISTER = 16;
#endif
constexpr int LANES = 32;     // outputs in a panel, as in products.py
constexpr int DOTS = 12;      // registers that hold dot products; as many hold sums

template <class T>
struct Tile {
    typedef T Vector __attribute__((vector_size(REGISTER)));
    static constexpr int size = REGISTER / sizeof(T);
    static constexpr int count = LANES / size;
    static constexpr int rows = std::max(1, DOTS / count);
};

template <class T>
constexpr T magic = sizeof(T) == 4 ? T(0x1.8p23) : T(0x1.8p52);  // added and taken away, it rounds to integers

struct Shape {
    int64_t rows;     // M, of each group
    int64_t groups;   // of outputs, each with inputs of its own
    int64_t columns;  // N, of each group
    int64_t vectors;  // G
    int64_t size;     // V
    int64_t run;      // vectors whose sum T holds exactly
    double unit, offset, most;
};

template <class T>
typename Tile<T>::Vector load(const T* from) {
    typename Tile<T>::Vector lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

// R rows of one panel: w [G, V, LANES], sw [G, LANES]; a [R, G, V] and sa [R, G] with the other groups in between.
template <class T, int R>
void block(const Shape& z, const T* w, const T* sw, const T* a, const T* sa, double* out, int64_t columns) {
    using Vector = typename Tile<T>::Vector;
    constexpr int C = Tile<T>::count, S = Tile<T>::size;
    const T unit = T(z.unit), offset = T(z.offset);
    const Vector most = T(z.most) - Vector{};
    const int64_t next_scales = z.groups * z.vectors, next_row = next_scales * z.size;
    double total[R * LANES] = {};
    for (int64_t begin = 0; begin < z.vectors; begin += z.run) {
        const int64_t end = begin + std::min(z.run, z.vectors - begin);
        Vector sums[R][C];
        UNROLL for (int r = 0; r < R; ++r) UNROLL for (int c = 0; c < C; ++c) sums[r][c] = Vector{};
        for (int64_t g = begin; g < end; ++g, sw += LANES, ++sa) {
            Vector dots[R][C], q[C];
            UNROLL for (int r = 0; r < R; ++r) UNROLL for (int c = 0; c < C; ++c) dots[r][c] = Vector{};
            for (int64_t k = 0; k < z.size; ++k, w += LANES, ++a) {
                UNROLL for (int c = 0; c < C; ++c) q[c] = load(w + c * S);
                UNROLL for (int r = 0; r < R; ++r) UNROLL for (int c = 0; c < C; ++c)
                    dots[r][c] += a[r * next_row] * q[c];
            }
            UNROLL for (int c = 0; c < C; ++c) q[c] = load(sw + c * S);
            UNROLL for (int r = 0; r < R; ++r) UNROLL for (int c = 0; c < C; ++c) {
                const Vector factors = (sa[r * next_scales] * unit * q[c] + offset + magic<T>) - magic<T>;
                sums[r][c] += dots[r][c] * (factors < most ? factors : most);
            }
        }
        T part[R * LANES];
        UNROLL for (int r = 0; r < R; ++r) UNROLL for (int c = 0; c < C; ++c)
            std::memcpy(part + r * LANES + c * S, &sums[r][c], REGISTER);
        for (int i = 0; i < R * LANES; ++i) total[i] += double(part[i]);
    }
    for (int r = 0; r < R; ++r)
        std::memcpy(out + r * z.groups * z.columns, total + r * LANES, size_t(columns) * sizeof(double));
}

// The block of as many rows as there are, R at most.
template <class T, int R, class... Rest>
void rows(int64_t count, const Shape& z, Rest... rest) {
    if constexpr (R > 1)
        if (count < R) return rows<T, R - 1>(count, z, rest...);
    block<T, R>(z, rest...);
}

template <class T>
void products(const Shape& z, const T* w, const T* sw, const T* a, const T* sa, double* out, int threads) {
    constexpr int R = Tile<T>::rows;
    const int64_t panels = (z.columns + LANES - 1) / LANES, blocks = (z.rows + R - 1) / R, length = z.vectors * z.size;
#pragma omp parallel for collapse(2) num_threads(threads)
    for (int64_t panel = 0; panel < z.groups * panels; ++panel)
        for (int64_t i = 0; i < blocks; ++i) {
            const int64_t column = panel % panels * LANES, row = i * R * z.groups + panel / panels;
            rows<T, R>(z.rows - i * R, z, w + panel * length * LANES, sw + panel * z.vectors * LANES, a + row * length,
                       sa + row * z.vectors, out + row * z.columns + column,
                       std::min<int64_t>(LANES, z.columns - column));
        }
}

}  // namespace

extern "C" {

void products_float(const Shape* z, const float* w, const float* sw, const float* a, const float* sa, double* out,
                    int threads) {
    products(*z, w, sw, a, sa, out, threads);
}

void products_double(const Shape* z, const double* w, const double* sw, const double* a, const double* sa, double* out,
                     int threads) {
    products(*z, w, sw, a, sa, out, threads);
}

}
