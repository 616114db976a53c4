/*
 * output.c owns a line of the module's own, on its way to the batch.
 * Entered by a child's monitor thread, or by the helper at a stop.
 * A line that was appended is in the batch when the process dies.
 */
#include "report/output.h"

void imx_output_begin_text(imx_output_t *out, const char *measurement,
                           size_t len)
{
    imx_lineproto_init(&out->lp, out->text, sizeof out->text);
    imx_lineproto_begin(&out->lp, measurement, len);
    imx_output_tag(out, "hostname", out->hostname);
}

int imx_output_end(imx_output_t *out, int64_t time)
{
    out->lines_left--;
    if (imx_lineproto_end(&out->lp, time) != IMX_LINEPROTO_OK) {
        return 1;
    }
    return imx_batch_append(out->child, out->text,
                            imx_lineproto_length(&out->lp));
}
