import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;

/** What a test turns while the job runs: small files in one folder, each with a number in it, or just there. */
final class Knobs implements Serializable {
  private static final long serialVersionUID = 1;
  private final String folder;

  Knobs(String folder) {
    this.folder = folder;
  }

  /** The number in a file, or what holds without it. A file that is just being written counts as absent. */
  long number(String name, long otherwise) {
    try {
      return Long.parseLong(Files.readString(Path.of(folder, name)).trim());
    } catch (IOException | NumberFormatException absent) {
      return otherwise;
    }
  }

  boolean isSet(String name) {
    return Files.exists(Path.of(folder, name));
  }
}
