-- All ratings through the function that takes them in, on all threads; nothing is copied out of the host.
SELECT bool_or(__cofi_read({number}, {columns})) FROM (
{ratings}
)
