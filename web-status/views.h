/* views.h - the views that routes.c lists. */
#ifndef WEB_STATUS_VIEWS_H
#define WEB_STATUS_VIEWS_H

#include "web-status/routes.h"

web_view_fn view_now;              /* "/": how things stand */
web_view_fn view_wall;             /* "/wall": to be read from afar */
web_event_fn event_now;            /* "/events": what of both has changed */
web_view_fn view_series;           /* "/series": figures over time, JSON */
web_view_fn view_transfers;        /* "/transfers": search */
web_view_fn view_study;            /* "/transfers/UID": a study's instances */
web_view_fn view_refused;          /* "/refused": who was turned away */
web_view_fn view_audit;            /* "/audit": the audit's rows */
web_view_fn view_configuration;    /* "/configuration": values, rights */
web_view_fn view_transfers_export; /* "/transfers/export" */
web_view_fn view_receipt;          /* "/transfers/receipt?study=" */
web_view_fn view_audit_export;     /* "/audit/export" */
web_view_fn view_login;            /* "/login": see page.h */
web_view_fn view_error;            /* in place of what went wrong */
web_view_fn view_metrics;          /* "/metrics" */

#endif
