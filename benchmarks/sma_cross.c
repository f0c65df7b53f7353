/* Workload A by hand, as fast as plain C goes without giving up the accounting: orders that wait for the next open, fills
 * with fees in a log, cash that must suffice, equity marked at each close. Columns, not rows: it reads nothing it does not
 * need. The running sums are renewed each round of their window, as the engine's SMA does. */
#include <math.h>
#include <stdint.h>

typedef struct { int64_t bar; int64_t side; double quantity, price, fee; } fill_t;
typedef struct { double total, fresh; int64_t period, next; } mean_t;

static inline double update(mean_t *m, const double *close, int64_t i) {
    m->total += close[i] - (i >= m->period ? close[i - m->period] : 0.0);
    m->fresh += close[i];
    if (++m->next == m->period) { m->next = 0; m->total = m->fresh; m->fresh = 0.0; }
    return m->total / (double)m->period;
}

int64_t sma_cross(const double *open, const double *close, int64_t n, int64_t fast_period, int64_t slow_period,
                  double weight, double fee_rate, double cash, double *equity, fill_t *fills, int64_t capacity) {
    mean_t fast = {0.0, 0.0, fast_period, 0}, slow = {0.0, 0.0, slow_period, 0};
    double position = 0.0, order = 0.0; /* order: signed quantity that waits for the next open */
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (order != 0.0) {
            double fee = fabs(order) * open[i] * fee_rate, after = cash - (order * open[i] + fee);
            if (after >= 0.0 && position + order >= 0.0) {
                cash = after;
                position += order;
                if (count < capacity)
                    fills[count] = (fill_t){i, order > 0.0 ? 1 : -1, fabs(order), open[i], fee};
                count++;
            }
            order = 0.0;
        }
        equity[i] = cash + position * close[i];
        double f = update(&fast, close, i), s = update(&slow, close, i);
        if (i < slow_period - 1) continue;
        if (f > s && position == 0.0) order = weight * equity[i] / close[i];
        else if (f < s && position > 0.0) order = -position;
    }
    return count;
}
