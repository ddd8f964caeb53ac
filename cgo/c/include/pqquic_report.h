/* pqquic_report.h is the interface of the FIPS report: see docs/fips.md. Only archives that scripts/build makes with
 * --report define these functions. */
#ifndef PQQUIC_REPORT_H
#define PQQUIC_REPORT_H

#include <stddef.h>
#include <stdint.h>

#define PQQ_REPORT_FRAMES 20
#define PQQ_REPORT_PARAMS 64

/* A row counts the calls of one function of libcrypto with the same parameters from the same place. */
typedef struct {
	const char *function;
	char params[PQQ_REPORT_PARAMS];
	uintptr_t frames[PQQ_REPORT_FRAMES]; /* return addresses, the innermost first; 0 after the last */
	uint64_t approved;		     /* calls after which the service indicator had grown */
	uint64_t unapproved;		     /* calls that succeeded without that */
	uint64_t failed;		     /* calls that failed, such as an AEAD that rejected a packet */
} pqq_report_row;

/* pqq_report_reset forgets all rows. */
void pqq_report_reset(void);
/* pqq_report_rows copies up to cap rows to out and returns the number of rows that there are. */
size_t pqq_report_rows(pqq_report_row *out, size_t cap);
/* pqq_report_lost returns the number of calls that are in no row, because there are too many rows. */
uint64_t pqq_report_lost(void);

#endif
