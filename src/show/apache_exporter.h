/*
 * apache_exporter.h: the figures under the names that
 * prometheus-apache-exporter gives those of mod_status, for dashboards and
 * alerts that know these.
 */
#ifndef IMX_APACHE_EXPORTER_H
#define IMX_APACHE_EXPORTER_H

#include "show/exposition.h"
#include "show/view.h"

/* All families; between begin and end; any thread. */
void imx_apache_exporter_figures(imx_exposition_t *e, const imx_view_t *v);

#endif
