/*
 * answers.h: what InfluxDB was seen or is documented to say, and what that is:
 * for the tests of answer.c, and through curl for those of influx.c.
 */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "deliver/answer.h"

typedef struct {
    imx_influx_api_e api;
    long status;
    const char *body;
    imx_influx_answer_e answer;
    int64_t dropped;
    const char *reason;
} answer_row_t;

#define V1 IMX_INFLUX_V1
#define V2 IMX_INFLUX_V2
#define V3 IMX_INFLUX_V3

static const answer_row_t answer_rows[] = {
    { V1, 204, "", IMX_INFLUX_SENT, -1, "HTTP status 204" },
    { V1, 200, "{}", IMX_INFLUX_SENT, -1, "{}" },
    { V3, 202, "", IMX_INFLUX_SENT, -1, "HTTP status 202" },

    /* seen from influxd 1.6.7 */
    { V1, 404, "{\"error\":\"database not found: \\\"t\\\"\"}\n",
      IMX_INFLUX_NOT_FOUND, -1, "database not found: \"t\"" },
    { V1, 500, "{\"error\":\"retention policy not found: nope\"}\n",
      IMX_INFLUX_NOT_FOUND, -1, "retention policy not found: nope" },
    { V1, 400,
      "{\"error\":\"partial write: unable to parse 'm1 garbage': "
      "invalid field format dropped=0\"}\n",
      IMX_INFLUX_PARTIAL, 1,
      "partial write: unable to parse 'm1 garbage': invalid field format "
      "dropped=0" },
    { V1, 400,
      "{\"error\":\"partial write: unable to parse 'bad': missing "
      "fields\\nunable to parse 'worse': missing fields dropped=0\"}\n",
      IMX_INFLUX_PARTIAL, 2,
      "partial write: unable to parse 'bad': missing "
      "fields unable to parse 'worse': missing fields dropped=0" },
    { V1, 400,
      "{\"error\":\"unable to parse 'bad': missing fields\\n"
      "unable to parse 'worse': missing fields\"}\n",
      IMX_INFLUX_MALFORMED, 2,
      "unable to parse 'bad': missing fields unable to parse 'worse': missing "
      "fields" },
    { V1, 400,
      "{\"error\":\"partial write: field type conflict: input field "
      "\\\"v\\\" on measurement \\\"m4\\\" is type integer, already exists as "
      "type float dropped=2\"}\n",
      IMX_INFLUX_PARTIAL, 2,
      "partial write: field type conflict: input field \"v\" on measurement "
      "\"m4\" is type integer, already exists as type float dropped=2" },
    { V1, 400,
      "{\"error\":\"partial write: points beyond retention policy "
      "dropped=1\"}\n",
      IMX_INFLUX_PARTIAL, 1,
      "partial write: points beyond retention policy dropped=1" },
    { V1, 400, "{\"error\":\"database is required\"}\n", IMX_INFLUX_RETRY, -1,
      "database is required" },
    { V1, 401, "{\"error\":\"unable to parse authentication credentials\"}\n",
      IMX_INFLUX_UNAUTHORIZED, -1,
      "unable to parse authentication credentials" },
    { V1, 403,
      "{\"error\":\"\\\"bob\\\" user is not authorized to write to "
      "database \\\"t\\\"\"}\n",
      IMX_INFLUX_UNAUTHORIZED, -1,
      "\"bob\" user is not authorized to write to database \"t\"" },
    { V1, 404,
      "{\"code\":\"not found\",\"message\":\"no dbrp mapping found\"}",
      IMX_INFLUX_RETRY, -1, "no dbrp mapping found" },
    { V1, 413, "{\"error\":\"Request Entity Too Large\"}\n",
      IMX_INFLUX_TOO_LARGE, -1, "Request Entity Too Large" },
    { V2, 404, "404 page not found\n", IMX_INFLUX_RETRY, -1,
      "404 page not found" },

    /* seen from influxd 2.7.12 */
    { V2, 401,
      "{\"code\":\"unauthorized\",\"message\":\"unauthorized access\"}",
      IMX_INFLUX_UNAUTHORIZED, -1, "unauthorized access" },
    { V2, 404,
      "{\"code\":\"not found\",\"message\":\"bucket \\\"nope\\\" not "
      "found\"}",
      IMX_INFLUX_NOT_FOUND, -1, "bucket \"nope\" not found" },
    { V2, 422,
      "{\"code\":\"unprocessable entity\",\"message\":\"failure writing "
      "points to database: partial write: field type conflict: input field "
      "\\\"v\\\" on measurement \\\"m\\\" is type integer, already exists as "
      "type "
      "float dropped=1\"}",
      IMX_INFLUX_PARTIAL, 1,
      "failure writing points to "
      "database: partial write: field type conflict: input field \"v\" on "
      "measurement \"m\" is type integer, already exists as type float "
      "dropped=1" },
    { V2, 400,
      "{\"code\":\"invalid\",\"message\":\"unable to parse 'bad': "
      "missing fields\\nunable to parse 'worse x': invalid field format\"}",
      IMX_INFLUX_MALFORMED, 2,
      "unable to parse 'bad': missing fields unable to "
      "parse 'worse x': invalid field format" },

    /* as documented for 2.x, 3.x and the hosted ones */
    { V2, 400,
      "{\"code\":\"invalid\",\"message\":\"unable to parse 'bad': "
      "missing fields\"}",
      IMX_INFLUX_MALFORMED, 1, "unable to parse 'bad': missing fields" },
    { V2, 422,
      "{\"code\":\"unprocessable entity\",\"message\":\"failure "
      "writing points to database: partial write: points beyond retention "
      "policy dropped=7\"}",
      IMX_INFLUX_PARTIAL, 7,
      "failure writing points to database: partial write: points beyond "
      "retention policy dropped=7" },
    { V2, 500,
      "{\"code\":\"internal error\",\"message\":\"unexpected error "
      "writing points to database: partial write: field type conflict: input "
      "field \\\"v\\\" dropped=3\"}",
      IMX_INFLUX_PARTIAL, 3,
      "unexpected error writing points to database: partial write: field type "
      "conflict: input field \"v\" dropped=3" },
    { V2, 422, "{\"message\":\"data is outside retention\"}",
      IMX_INFLUX_PARTIAL, -1, "data is outside retention" },
    { V2, 404,
      "{\"code\":\"not found\",\"message\":\"bucket \\\"b\\\" not "
      "found\"}",
      IMX_INFLUX_NOT_FOUND, -1, "bucket \"b\" not found" },
    { V2, 404,
      "{\"code\":\"not found\",\"message\":\"organization name "
      "\\\"o\\\" not found\"}",
      IMX_INFLUX_NOT_FOUND, -1, "organization name \"o\" not found" },
    { V2, 400, "{\"code\":\"invalid\",\"message\":\"invalid precision\"}",
      IMX_INFLUX_RETRY, -1, "invalid precision" },
    { V3, 400,
      "{\"error\":\"partial write of line protocol occurred\","
      "\"data\":[{\"original_line\":\"x\",\"line_number\":2,\"error_message\":"
      "\"no fields\"},{\"line_number\":5,\"error_message\":\"no time\"}]}",
      IMX_INFLUX_PARTIAL, 2,
      "partial write of line protocol occurred: no fields" },
    { V3, 400,
      "{\"error\":\"parsing failed for write_lp endpoint\",\"data\":"
      "{\"line_number\":1,\"error_message\":\"no fields\"}}",
      IMX_INFLUX_MALFORMED, 1,
      "parsing failed for write_lp endpoint: no fields" },
    { V3, 400, "{\"error\":\"invalid line protocol\"}", IMX_INFLUX_MALFORMED,
      -1, "invalid line protocol" },
    { V2, 503, "{\"error\":\"busy\"}", IMX_INFLUX_RETRY, -1, "busy" },
    { V2, 429, "", IMX_INFLUX_RETRY, -1, "HTTP status 429" },
    { V2, 408, "", IMX_INFLUX_RETRY, -1, "HTTP status 408" },
    { V1, 500, "{\"error\":\"timeout\"}", IMX_INFLUX_RETRY, -1, "timeout" },
    { V1, 599, "", IMX_INFLUX_RETRY, -1, "HTTP status 599" },
    { V2, 500, "{\"error\":\"retention policy not found\"}", IMX_INFLUX_RETRY,
      -1, "retention policy not found" },
    { V1, 405, "Method Not Allowed\n", IMX_INFLUX_RETRY, -1,
      "Method Not Allowed" },
    { V1, 301, "", IMX_INFLUX_RETRY, -1, "HTTP status 301" },
    { V1, 304, "", IMX_INFLUX_RETRY, -1, "HTTP status 304" },
    { V1, 399, "gone", IMX_INFLUX_RETRY, -1, "gone" },
    { V1, 410, "gone", IMX_INFLUX_RETRY, -1, "gone" },
    { V1, 100, "", IMX_INFLUX_RETRY, -1, "HTTP status 100" },

    /* what stands between */
    { V1, 413,
      "<html>\r\n<head><title>413 Request Entity Too Large</title>"
      "</head>\r\n<body>nginx</body></html>",
      IMX_INFLUX_TOO_LARGE, -1, "413 Request Entity Too Large" },
    { V1, 502, "<!DOCTYPE html><body><h1>Bad  \n Gateway</h1><p>x",
      IMX_INFLUX_RETRY, -1, "Bad Gateway" },
    { V1, 404, "<TITLE lang=\"en\"> Not Found</TITLE>", IMX_INFLUX_RETRY, -1,
      "Not Found" },
    { V1, 502, "<", IMX_INFLUX_RETRY, -1, "HTTP status 502" },

    /* http:// where https:// was meant: about the address, not the lines */
    { V2, 400, "Client sent an HTTP request to an HTTPS server.\n",
      IMX_INFLUX_RETRY, -1,
      "plain HTTP was sent to a port of HTTPS: Client "
      "sent an HTTP request to an HTTPS server." },
    { V1, 400,
      "<html>\r\n<head><title>400 The plain HTTP request was sent to "
      "HTTPS port</title></head>",
      IMX_INFLUX_RETRY, -1,
      "plain HTTP was sent "
      "to a port of HTTPS: 400 The plain HTTP request was sent to HTTPS port" },
    { V1, 400,
      "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n"
      "<html><head>\n<title>400 Bad Request</title>\n</head><body>\n<h1>Bad "
      "Request</h1>\n<p>Reason: You're speaking plain HTTP to an SSL-enabled "
      "server port.</p>",
      IMX_INFLUX_RETRY, -1,
      "plain HTTP was sent to a port "
      "of HTTPS: 400 Bad Request" },
    { V1, 400, "unable to parse 'm,uri=plain\\ HTTP,t=plain HTTP': no",
      IMX_INFLUX_MALFORMED, 1,
      "unable to parse 'm,uri=plain\\ HTTP,t=plain "
      "HTTP': no" },
    { V2, 400, "{\"message\":\"m,uri=plain HTTP\"}", IMX_INFLUX_REFUSED, -1,
      "m,uri=plain HTTP" },

    /* nginx with ssl_verify_client: about the account, too */
    { V2, 400,
      "<html>\r\n<head><title>400 No required SSL certificate was sent"
      "</title></head>\r\n<body>nginx</body></html>",
      IMX_INFLUX_RETRY, -1, "400 No required SSL certificate was sent" },
    { V1, 400,
      "<html>\r\n<head><title>400 The SSL certificate error</title></head>",
      IMX_INFLUX_RETRY, -1, "400 The SSL certificate error" },
    { V2, 400, "{\"message\":\"m,uri=SSL certificate\"}", IMX_INFLUX_REFUSED,
      -1, "m,uri=SSL certificate" },

    /* what a client sent is quoted, and is not InfluxDB's word */
    { V2, 400,
      "{\"message\":\"unable to parse 'm,uri=x f=\\\"partial write "
      "dropped=9\\\" \\nunable to parse 'x': bad\"}",
      IMX_INFLUX_MALFORMED, 2,
      "unable to parse 'm,uri=x f=\"partial write dropped=9\" unable to parse "
      "'x': bad" },
    { V2, 400, "{\"message\":\"unable to parse 'm unable to parse 'x': bad\"}",
      IMX_INFLUX_MALFORMED, 1, "unable to parse 'm unable to parse 'x': bad" },
    { V2, 400,
      "{\"note\":\"\\\"error\\\":\\\"partial write\\\"\","
      "\"message\":\"no\"}",
      IMX_INFLUX_REFUSED, -1, "no" },

    /* about the address or the account, in whatever status */
    { V1, 407, "Proxy Authentication Required", IMX_INFLUX_RETRY, -1,
      "Proxy Authentication Required" },
    { V2, 421, "Misdirected Request", IMX_INFLUX_RETRY, -1,
      "Misdirected Request" },
    { V2, 425, "Too Early", IMX_INFLUX_RETRY, -1, "Too Early" },
    { V3, 426, "Upgrade Required", IMX_INFLUX_RETRY, -1, "Upgrade Required" },
    { V2, 402, "payment required", IMX_INFLUX_RETRY, -1, "payment required" },
    { V1, 418, "a teapot", IMX_INFLUX_RETRY, -1, "a teapot" },

    /* 2xx, and a page: somebody wants a sign-in, or it is a wrong port */
    { V1, 200,
      "<!DOCTYPE html>\n<html><head><title>Sign in to Hotel "
      "WLAN</title></head>",
      IMX_INFLUX_RETRY, -1,
      "a page, and not InfluxDB's "
      "answer: Sign in to Hotel WLAN" },
    { V2, 204, " \n<html>", IMX_INFLUX_RETRY, -1,
      "a page, and not InfluxDB's "
      "answer:" },

    /* InfluxDB Enterprise has the points */
    { V1, 500,
      "{\"error\":\"partial write: hinted handoff queue not "
      "empty\"}",
      IMX_INFLUX_PARTIAL, -1,
      "partial write: hinted handoff queue "
      "not empty" },
    { V1, 500, "{\"error\":\"hinted handoff queue not empty\"}",
      IMX_INFLUX_SENT, -1, "hinted handoff queue not empty" },
    { V1, 400, "{\"error\":\"hinted handoff queue not empty\"}",
      IMX_INFLUX_REFUSED, -1, "hinted handoff queue not empty" },

    /* seen from InfluxDB 3.6.0 and 3.10.1 */
    { V3, 422,
      "{\"error\":\"Adding a new database would exceed limit of 5 "
      "databases\"}",
      IMX_INFLUX_RETRY, -1,
      "Adding a new database would "
      "exceed limit of 5 databases" },
    { V3, 400, "{\"error\":\"invalid character in database or rp name\"}",
      IMX_INFLUX_RETRY, -1, "invalid character in database or rp name" },
    { V3, 500, "max request size (10485760 bytes) exceeded",
      IMX_INFLUX_TOO_LARGE, -1, "max request size (10485760 bytes) exceeded" },
    { V2, 400,
      "{\"error\":\"write buffer error: parsing for line protocol "
      "failed\",\"data\":[{\"original_line\":\"m,t=partial write\","
      "\"line_number\":3,\"error_message\":\"bad\"}]}",
      IMX_INFLUX_MALFORMED, -1,
      "write buffer error: parsing for line protocol "
      "failed: bad" },
    { V1, 400,
      "{\"error\":\"write buffer error: line protocol parse "
      "failed: x\"}",
      IMX_INFLUX_MALFORMED, -1,
      "write buffer error: line "
      "protocol parse failed: x" },
    { V1, 400, "{\"error\":\"line protocol parsing error\"}",
      IMX_INFLUX_MALFORMED, -1, "line protocol parsing error" },

    /* VictoriaMetrics, alone and as a cluster */
    { V1, 400,
      "remoteAddr: \"127.0.0.1:33054\"; requestURI: /x/write?db=h; "
      "unsupported path requested: \"/x/write\"",
      IMX_INFLUX_RETRY, -1,
      "remoteAddr: \"127.0.0.1:33054\"; requestURI: /x/write?db=h; "
      "unsupported path requested: \"/x/write\"" },
    { V1, 400,
      "remoteAddr: \"127.0.0.1:1\"; requestURI: /write?db=h; cannot "
      "parse path \"/write\": cannot find {action}",
      IMX_INFLUX_RETRY, -1,
      "remoteAddr: \"127.0.0.1:1\"; requestURI: /write?db=h; cannot parse path "
      "\"/write\": cannot find {action}" },
    { V1, 400,
      "too big data size exceeding -influx.maxRequestSize=67108864 "
      "bytes",
      IMX_INFLUX_TOO_LARGE, -1,
      "too big data size exceeding "
      "-influx.maxRequestSize=67108864 bytes" },
    { V1, 400,
      "cannot process: incorrect influx line \"m,uri=unsupported path "
      "requested \\\"partial write\\\" v=x\": cannot parse field value",
      IMX_INFLUX_MALFORMED, -1,
      "cannot process: incorrect influx line "
      "\"m,uri=unsupported path requested \\\"partial write\\\" v=x\": "
      "cannot parse field value" },

    /* Telegraf's listeners */
    { V2, 400,
      "{\"code\":\"invalid\",\"message\":\"http: request body too "
      "large\"}",
      IMX_INFLUX_TOO_LARGE, -1, "http: request body too large" },
    { V2, 400,
      "{\"code\":\"invalid\",\"message\":\"metric parse error: "
      "expected field at 1:9: \\\"m,u=partial write\\\"\"}",
      IMX_INFLUX_MALFORMED, -1,
      "metric parse error: expected field at 1:9: "
      "\"m,u=partial write\"" },
    { V2, 400, "{\"message\":\"no: \\\"m,u=partial write v=1\\\"\"}",
      IMX_INFLUX_REFUSED, -1, "no: \"m,u=partial write v=1\"" },

    /* QuestDB: what a client sent stands there as it is, but behind */
    { V2, 400,
      "{\"code\":\"invalid\",\"message\":\"failed to parse line "
      "protocol:errors encountered on line(s):\\nerror in line 1: Could not "
      "parse entire line. Field: v; value: partial write\"}",
      IMX_INFLUX_MALFORMED, -1,
      "failed to parse line protocol:errors "
      "encountered on line(s): error in line 1: Could not parse entire line. "
      "Field: v; value: partial write" },

    /* escapes, and what is not printable */
    { V1, 400, "{\"error\" : \"a\\u0041\\u00e9\\t\\\\\\/\\u00\"}",
      IMX_INFLUX_REFUSED, -1, "aA? \\/u00" },
    { V1, 400, "\x1b[31mred\x7f\xc3\xa9\r\n", IMX_INFLUX_REFUSED, -1,
      "?[31mred???" },
    { V1, 400, "{\"error\":7}", IMX_INFLUX_REFUSED, -1, "{\"error\":7}" },
    { V1, 400, "{\"error\":\"cut", IMX_INFLUX_REFUSED, -1, "cut" },
    { V1, 400, "partial write: x dropped=12345678901", IMX_INFLUX_PARTIAL, -1,
      "partial write: x dropped=12345678901" },
};

#define ANSWER_ROWS (sizeof(answer_rows) / sizeof(answer_rows[0]))

#endif
