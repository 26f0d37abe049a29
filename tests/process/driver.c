/* A driver that is made up: the functions of cuda.h that are asked, with two GPUs. The second has a context of this process already; what begins or
   ends a context, and each question whether there is a driver, goes to the file that TOLD names. CODE and MEMORY are what cuInit and cuMemGetInfo_v2 return. */
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
static int current = 0;
static int told(const char *what) {
    FILE *file = fopen(getenv("TOLD"), "a");
    fprintf(file, "%s\n", what);
    return fclose(file);
}
int cuInit(unsigned flags) { told("init"); return CODE; }
int cuDriverGetVersion(int *version) { *version = 13010; return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int number) { *device = 40 + number; return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (device == 40 ? 8ul : 24ul) << 30; return 0; }
int cuDeviceGetName(char *name, int length, int device) { return snprintf(name, length, "Abacus %d", device) < 0; }
int cuGetErrorName(int code, const char **name) { *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_NO_DEVICE"; return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *active = device == 41; return device < 40; }
int cuDevicePrimaryCtxRetain(void **context, int device) { told("retain"); *context = (void *)(long)device; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { told("release"); return device != 41; }
int cuCtxPushCurrent_v2(void *context) { current = (int)(long)context; return 0; }
int cuCtxPopCurrent_v2(void **context) { *context = (void *)(long)current; current = 0; return 0; }
int cuMemGetInfo_v2(size_t *free, size_t *all) { *free = 3ul << 29; *all = 24ul << 30; return current == 41 ? MEMORY : 1; }
