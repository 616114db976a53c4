/*
 * html.c owns the page for people.
 * Entered by any thread that serves a request.
 * Nothing is kept, so nothing has to survive.
 *
 * What is wrong stands first, then a table for each subject.  It
 * needs no script and asks for nothing else.
 */
#include "show/html.h"

#include "apr_strings.h"
#include "http_protocol.h"

#include "base/version.h"
#include "base/words.h"
#include "shared/figures.h"
#include "show/view.h"

static void begin(request_rec *r)
{
    ap_rputs(
        "<!DOCTYPE html>\n"
        "<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\">"
        "<title>Influx metrics</title>\n<style>\n"
        ":root { color-scheme: light dark }\n"
        "body { font: 16px/1.5 sans-serif; margin: 1em auto; "
        "max-width: 60em; padding: 0 1em }\n"
        "table { border-collapse: collapse; width: 100% }\n"
        "th, td { padding: .2em 1em .2em 0; text-align: left; "
        "vertical-align: top }\n"
        "th { font-weight: normal; width: 16em }\n"
        "tr { border-bottom: 1px solid #8884 }\n"
        "h2 { font-size: 1.1em; margin: 1.5em 0 .2em }\n"
        ".word { border-left: .4em solid #393; padding-left: .6em }\n"
        ".warning { border-color: #b80 }\n"
        ".critical { border-color: #a33 }\n"
        "</style></head><body>\n<h1>Influx metrics</h1>\n",
        r);
}

static void end(request_rec *r)
{
    ap_rputs(
        "<p>The same as <a href=\"?json\">JSON</a> and as "
        "<a href=\"?text\">text</a>. mod_influx_metrics " IMX_VERSION
        ".</p>\n"
        "</body></html>\n",
        r);
}

/* Seconds since 1970, and how long ago that is. */
static const char *time_text(request_rec *r, const imx_snapshot_t *s,
                             int64_t seconds)
{
    char at[IMX_WORDS_SHORT], ago[IMX_WORDS_SHORT];

    if (seconds == 0) {
        return "never";
    }
    imx_words_time(at, sizeof at, seconds);
    /* Unsigned, as it can be nonsense. */
    imx_words_duration(ago, sizeof ago,
                       (int64_t)((uint64_t)s->now / 1000000000
                                 - (uint64_t)seconds));
    return apr_pstrcat(r->pool, at, " (", ago, " ago)", NULL);
}

static const char *number_text(request_rec *r, const imx_figures_row_t *row,
                               int64_t number)
{
    char words[IMX_WORDS_SHORT];

    if (strcmp(row->unit, "bytes") == 0) {
        imx_words_bytes(words, sizeof words, (uint64_t)number);
    }
    else if (strcmp(row->unit, "seconds") == 0) {
        imx_words_duration(words, sizeof words, number);
    }
    else if (strcmp(row->unit, "points") == 0
             || row->kind == IMX_FIGURES_COUNTER) {
        imx_words_number(words, sizeof words, number);
    }
    else { /* a process id or a status is no amount */
        return apr_psprintf(r->pool, "%" APR_INT64_T_FMT, (apr_int64_t)number);
    }
    return apr_pstrdup(r->pool, words);
}

static const char *value_text(request_rec *r, const imx_snapshot_t *s,
                              const imx_figures_row_t *row)
{
    imx_figures_value_t v = row->get(s);

    switch (row->kind) {
    case IMX_FIGURES_TEXT:
        return ap_escape_html(r->pool, v.text);
    case IMX_FIGURES_TIME:
        return time_text(r, s, v.number);
    default:
        return number_text(r, row, v.number);
    }
}

static void write_subject(request_rec *r, const imx_snapshot_t *s,
                          imx_figures_subject_e subject)
{
    size_t rows, i;
    const imx_figures_row_t *row = imx_figures_table(&rows);

    ap_rvputs(r, "<h2>", imx_figures_subject(subject), "</h2>\n<table>\n",
              NULL);
    for (i = 0; i < rows; i++, row++) {
        if (row->subject == subject) {
            ap_rvputs(r, "<tr title=\"", ap_escape_html(r->pool, row->help),
                      "\"><th>", ap_escape_html(r->pool, row->label),
                      "</th><td>", value_text(r, s, row), "</td></tr>\n",
                      NULL);
        }
    }
    ap_rputs("</table>\n", r);
}

static void write_word(request_rec *r, const imx_verdict_word_t *word)
{
    ap_rvputs(r, "<p class=\"word ", imx_verdict_level(word->level), "\">",
              ap_escape_html(r->pool, word->what), NULL);
    if (word->todo[0] != '\0') {
        ap_rvputs(r, " ", ap_escape_html(r->pool, word->todo), NULL);
    }
    if (word->id[0] != '\0') {
        ap_rvputs(r, " <small>", word->id, "</small>", NULL);
    }
    ap_rputs("</p>\n", r);
}

static void write_words(request_rec *r, const imx_verdict_t *verdict)
{
    unsigned i;

    ap_rputs("<div role=\"status\">\n", r);
    for (i = 0; i < verdict->count; i++) {
        write_word(r, &verdict->words[i]);
    }
    ap_rputs("</div>\n", r);
}

void imx_html_figures(request_rec *r, const imx_snapshot_t *s)
{
    unsigned subject;

    begin(r);
    write_words(r, &imx_view_of(r, s)->verdict);
    for (subject = 0; subject < IMX_FIGURES_SUBJECTS; subject++) {
        write_subject(r, s, (imx_figures_subject_e)subject);
    }
    end(r);
}

void imx_html_sentence(request_rec *r, const char *sentence)
{
    begin(r);
    ap_rvputs(r, "<p>", ap_escape_html(r->pool, sentence), "</p>\n", NULL);
    end(r);
}
