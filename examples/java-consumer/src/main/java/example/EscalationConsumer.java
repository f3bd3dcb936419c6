package example;

import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Prints each escalation as one line of JSON on stdout. Public clients only: kafka-clients and avro.
 *
 * <p>Usage: EscalationConsumer TOPIC GROUP [MAX]; MAX events are read, or without it until SIGTERM. Addresses come from
 * VIGIA_BOOTSTRAP_SERVERS and VIGIA_SCHEMA_REGISTRY_URL.
 *
 * <p>Delivery is at least once: positions are committed after a batch was handled. Whoever must not act twice on an
 * escalation remembers event_id, which is the same in every delivery.
 */
public final class EscalationConsumer {
    private static final int HEADER = 5;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final String registry;
    // A schema never changes under its id, so each is asked for once.
    private final Map<Integer, GenericDatumReader<GenericRecord>> readers = new HashMap<>();

    private EscalationConsumer(String registry) {
        this.registry = registry;
    }

    public static void main(String[] arguments) throws Exception {
        // Not the terminal's own encoding: the texts are Spanish.
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8));
        String topic = arguments[0];
        String group = arguments[1];
        long most = arguments.length > 2 ? Long.parseLong(arguments[2]) : Long.MAX_VALUE;
        EscalationConsumer program = new EscalationConsumer(System.getenv("VIGIA_SCHEMA_REGISTRY_URL"));

        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("VIGIA_BOOTSTRAP_SERVERS"));
        settings.put("group.id", group);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        // The default is read_uncommitted: it would show decisions of transactions that were taken back.
        settings.put("isolation.level", "read_committed");

        CountDownLatch ended = new CountDownLatch(1);
        try (KafkaConsumer<String, byte[]> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup();
                try {
                    ended.await(10, TimeUnit.SECONDS);
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                }
            }));
            consumer.subscribe(List.of(topic));
            for (long seen = 0; seen < most; ) {
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    program.handle(record);
                    seen += 1;
                }
                consumer.commitSync();
            }
        } catch (WakeupException stopped) {
            // That is how SIGTERM ends the poll.
        } finally {
            ended.countDown();
        }
    }

    /** A registry that does not answer is an IOException: the program ends and the record is read again at the next start. */
    private void handle(ConsumerRecord<String, byte[]> record) throws IOException, InterruptedException {
        String place = "{\"topic\":\"%s\",\"partition\":%d,\"offset\":%d,\"case_id\":\"%s\","
                .formatted(record.topic(), record.partition(), record.offset(), record.key());
        try {
            // A generic record's text form is JSON; logical types stay numbers and text.
            System.out.println(place + "\"event\":" + decode(record.value()) + "}");
        } catch (EOFException | IllegalArgumentException | AvroRuntimeException broken) {
            // Not skipped in silence: someone must look at it.
            System.err.println(place + "\"error\":" + JSON.valueToTree(String.valueOf(broken.getMessage())) + "}");
        }
    }

    /** Confluent wire format: a zero byte, the schema id (4 bytes, big endian), Avro. */
    private GenericRecord decode(byte[] value) throws IOException, InterruptedException {
        if (value == null || value.length < HEADER || value[0] != 0) {
            throw new IllegalArgumentException("no Confluent header");
        }
        int id = ByteBuffer.wrap(value, 1, 4).getInt();
        var decoder = DecoderFactory.get().binaryDecoder(value, HEADER, value.length - HEADER, null);
        return reader(id).read(null, decoder);
    }

    private GenericDatumReader<GenericRecord> reader(int id) throws IOException, InterruptedException {
        GenericDatumReader<GenericRecord> known = readers.get(id);
        if (known == null) {
            var request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).timeout(Duration.ofSeconds(5));
            HttpResponse<String> answer = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() == 404) {
                throw new IllegalArgumentException("the registry knows no schema id " + id);
            }
            if (answer.statusCode() != 200) {
                throw new IOException("schema " + id + ": the registry answers " + answer.statusCode());
            }
            String schema = JSON.readTree(answer.body()).get("schema").asText();
            known = new GenericDatumReader<>(new Schema.Parser().parse(schema));
            readers.put(id, known);
        }
        return known;
    }
}
