import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.zip.GZIPInputStream;

public class Fetch {
    public static void main(String[] arguments) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
            .version(HttpClient.Version.HTTP_1_1)
            .header("Authorization", "Bearer " + arguments[1])
            .header("Accept-Encoding", "gzip").build();
        var answer = HttpClient.newHttpClient()
            .send(request, HttpResponse.BodyHandlers.ofInputStream());
        if (!answer.headers().firstValue("Content-Encoding").orElse("").equals("gzip"))
            throw new Exception("no gzip");
        try (var body = new GZIPInputStream(answer.body())) {
            body.transferTo(System.out);
        }
        System.out.flush();
    }
}
