import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;

/** A small runner: named checks, one after the other, exit code 1 when one fails. */
final class Checks {
    static final String BOOTSTRAP = System.getenv().getOrDefault("TIDEMILL_TEST_BOOTSTRAP", "127.0.0.1:9092");

    private static final long DEADLINE_MS = 60_000;
    private static final AtomicInteger NEXT = new AtomicInteger();

    private final List<String> failed = new ArrayList<>();

    interface Check {
        void run() throws Exception;
    }

    void run(String name, Check check) {
        long start = System.currentTimeMillis();
        try {
            check.run();
            System.out.printf("ok      %s (%.1f s)%n", name, (System.currentTimeMillis() - start) / 1000.0);
        } catch (Throwable failure) {
            failed.add(name);
            System.out.printf("FAILED  %s%n", name);
            failure.printStackTrace(System.out);
        }
    }

    void finish() {
        if (!failed.isEmpty()) {
            System.out.println(failed.size() + " failed: " + failed);
            System.exit(1);
        }
    }

    /** A name that nobody else uses, nor an earlier run. */
    static String unique(String prefix) {
        return prefix + "-" + Long.toHexString(System.nanoTime()) + "-" + NEXT.getAndIncrement();
    }

    /** Calls the probe until it is true. */
    static void until(String what, Callable<Boolean> probe) throws Exception {
        long end = System.currentTimeMillis() + DEADLINE_MS;
        while (System.currentTimeMillis() < end) {
            if (probe.call()) {
                return;
            }
            Thread.sleep(20);
        }
        throw new AssertionError("waited in vain for " + what);
    }

    static void expect(String what, Object actual, Object expected) {
        if (!expected.equals(actual)) {
            throw new AssertionError(what + "\n  got      " + actual + "\n  expected " + expected);
        }
    }
}
